"""A docs page that signs what "Try it out" sends."""

from collections.abc import Iterable
from html import escape
from pathlib import Path
from posixpath import basename, dirname, relpath
from string import Template
from urllib.parse import urlsplit

from fastapi import FastAPI, HTTPException
from starlette.responses import Response

from dpop_asgi.core.options import require

_FOLDER = Path(__file__).parents[1] / "docs_page"
_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript"}
# The version that FastAPI's own page loads.
_SWAGGER = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/"


def docs_page(
    app: FastAPI,
    *,
    path: str = "/docs",
    swagger_js_url: str = f"{_SWAGGER}swagger-ui-bundle.js",
    swagger_css_url: str = f"{_SWAGGER}swagger-ui.css",
    origins: Iterable[str] = (),
) -> None:
    """Serve Swagger UI whose requests are signed with a key that never leaves the browser.

    The page needs an access token that is bound to its key, and says what became of each request. All that it loads
    and calls is in its `Content-Security-Policy`; the scripts that it loads can use the token and the key.

    Args:
        app: an app with `docs_url=None`.
        path: where the page is. Its files are below it, `dpop.js` for example, which signs requests on any page.
        swagger_js_url: the script of Swagger UI 5, such as a copy that the app itself serves.
        swagger_css_url: its style sheet.
        origins: other servers that the page may call, with signed requests: an authorization server, for example.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """
    origins = [origins] if isinstance(origins, str) else list(origins)
    require("path", path.startswith("/") and basename(path), "a path that doesn't end with a slash")
    require("path", path not in {getattr(route, "path", None) for route in app.routes}, "free: set docs_url=None")
    require("origins", all(map(_is_origin, origins)), "a list of origins such as https://id.example.com")
    require("app", app.openapi_url, "a FastAPI app with an openapi_url")
    files = {file.name: file.read_bytes() for file in _FOLDER.iterdir() if file.suffix in _TYPES}
    page = Template(files.pop("page.html").decode()).substitute(
        title=escape(app.title),
        files=escape(basename(path)),
        openapi_url=escape(relpath(app.openapi_url or "", dirname(path))),
        swagger_js_url=escape(swagger_js_url),
        swagger_css_url=escape(swagger_css_url),
        origins=escape(" ".join(origins)),
    )
    headers = _headers(swagger_js_url, swagger_css_url, origins)

    @app.get(path, include_in_schema=False)
    async def docs() -> Response:
        return Response(page, media_type="text/html", headers=headers)

    @app.get(f"{path}/{{file}}", include_in_schema=False)
    async def docs_file(file: str) -> Response:
        if file not in files:
            raise HTTPException(404)
        return Response(files[file], media_type=_TYPES[Path(file).suffix], headers=headers)


def _is_origin(text: str) -> bool:
    parts = urlsplit(text)
    return (
        parts.scheme in {"https", "http"}
        and text == f"{parts.scheme}://{parts.netloc}"
        and not set(text) & set(" ;,'\"@")
    )


def _headers(script: str, style: str, origins: Iterable[str]) -> dict[str, str]:
    """Nothing inline, nothing from elsewhere: whatever got into this page could use the token."""
    policy = {
        "default-src": "'none'",
        "script-src": f"'self' {_source(script)}",
        "style-src": f"'self' {_source(style)}",
        "img-src": "'self' data:",
        "connect-src": " ".join(["'self'", *origins]),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(
            f"{directive} {sources}".rstrip() for directive, sources in policy.items()
        ),
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
        # A popup for signing in stays connected with the page that opened it.
        "Referrer-Policy": "same-origin",
    }


def _source(url: str) -> str:
    """What a policy says about a URL: nothing about one on the page's own origin."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}" if parts.netloc else ""
