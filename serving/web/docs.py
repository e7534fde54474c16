"""Swagger UI from a package: works without internet access and under a strict policy."""

import json
from html import escape
from importlib import resources

from fastapi import APIRouter
from starlette.responses import Response

# No inline script or style: both come from this origin, as files.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title} API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="docs/favicon-32x32.png">
</head>
<body>
<div id="ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
START = f"SwaggerUIBundle({json.dumps({'url': 'openapi.json', 'dom_id': '#ui'})});\n"

_headers = {"Content-Security-Policy": POLICY, "Cache-Control": "public, max-age=3600"}


def docs_routes(title: str) -> APIRouter:
    """The routes of the page and of what it loads; `title` is the service's."""
    router = APIRouter(include_in_schema=False)
    html = PAGE.format(title=escape(title))

    @router.get("/docs")
    async def page() -> Response:
        """The page that loads the rest."""
        return Response(html, media_type="text/html", headers=_headers)

    @router.get("/docs/start.js")
    async def start() -> Response:
        """The script that starts the page."""
        return Response(START, media_type="text/javascript", headers=_headers)

    @router.get("/docs/{name}")
    async def asset(name: str) -> Response:
        """One file of Swagger UI."""
        if name not in ASSETS:
            return Response(status_code=404)
        # Not imported: the package's own module would import more of FastAPI than it needs.
        content = resources.files("fastapi_swagger.resources").joinpath(name).read_bytes()
        return Response(content, media_type=ASSETS[name], headers=_headers)

    return router
