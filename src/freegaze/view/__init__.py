"""Explorer of recordings and runs: a page in the browser, served by this machine to itself."""
