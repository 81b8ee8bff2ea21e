"""A page opened in headless Chromium, for tests."""

from __future__ import annotations

WIDE, NARROW = (1400, 900), (390, 844)


class Visit:
    """An opened page that remembers what went wrong in it."""

    def __init__(self, browser, path, size, address="", **options):
        self.complaints = []
        width, height = size
        self.context = browser.new_context(viewport={"width": width, "height": height}, **options)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._note_dialog)
        self.page.on("request", self._note_request)
        self.page.goto(path.as_uri() + address)

    def _note_dialog(self, dialog):
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def _note_request(self, request):
        if not (request.url.startswith("data:") or request.is_navigation_request()):
            self.complaints.append(f"asked for {request.url}")

    @property
    def overflow_px(self):
        """How much wider the page is than its window."""
        root = "document.documentElement"
        return self.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()
