"""How an expression fails: while it is read (syntax) or while it is evaluated."""

from r4.issue import FhirError, error


class EvaluationError(Exception):
    """An expression that cannot be evaluated on this data; `Compiled` turns it into a FhirError.

    It never leaves the package.
    """


def syntax_error(expression: str, position: int, expected: str) -> FhirError:
    """Build the FhirError (400, code `invalid`) that says where reading stopped and why."""
    found = expression[position : position + 12] or "the end"
    return FhirError(
        400,
        [
            error(
                "invalid",
                f"FHIRPath: expected {expected} at position {position}, found `{found}`,"
                f" in `{expression}`",
                rule="fhirpath-syntax",
            )
        ],
    )


def evaluation_error(expression: str, problem: EvaluationError) -> FhirError:
    """Build the FhirError (422, code `processing`) for an expression that failed on its input."""
    return FhirError(
        422,
        [
            error(
                "processing", f"FHIRPath: {problem}, in `{expression}`", rule="fhirpath-evaluation"
            )
        ],
    )
