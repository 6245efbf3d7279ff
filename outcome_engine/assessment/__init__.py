"""One child's outcome, and how it is explained."""
