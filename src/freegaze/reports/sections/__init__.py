"""Parts of a report: each module turns results into the words and figures of one section."""
