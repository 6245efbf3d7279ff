"""What may be said of an unforeseen failure."""


def place(failure: BaseException) -> str:
    """Say what kind of failure happened and where, for a log: its text may hold a patient's data."""
    trace = failure.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "unknown"
    return f"{type(failure).__name__} at {where}"
