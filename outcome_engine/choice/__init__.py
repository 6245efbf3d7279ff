"""The workbench of discrete choice: from what people chose to the weights of a score.

`data` reads choices, `estimation` fits conditional and mixed logit models, `diagnostics` says how far
they can be trusted, `draft` makes a parameter file of them, which a signatory then signs. It needs
the packages of the extra `csor[choice]`, which a server does not: see docs/choice.md.
"""
