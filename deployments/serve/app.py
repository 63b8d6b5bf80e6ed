"""What can be asked of the service, and how its answers look: the OpenAPI document is made from this page."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, FailFast, Field
from starlette.exceptions import HTTPException

from deployments.serve.champion import Champion
from deployments.serve.guard import App, Guard, refusal
from deployments.serve.measures import Measures
from deployments.serve.model import BusyError
from deployments.serve.worker import DiedError, TooSlowError
from tasks.settings import Settings


class Prediction(BaseModel):
    """What is predicted of one item."""

    item: str = Field(description="As it was given.")
    value: float | None = Field(description="None if the item is a bad one.")
    lower: float | None = Field(description="Lower end of the interval.")
    upper: float | None = Field(description="Upper end of the interval.")
    in_domain: bool = Field(description="Whether the model has learnt from anything like it.")
    reason: str = Field(description="Why it is not in the domain, or why there is no value; else empty.")


class About(BaseModel):
    """Which model answers."""

    bundle: str = Field(description="The fingerprint of the published bundle.")
    recipe: str
    property: str = Field(description="What is predicted.")
    unit: str = Field(description="Of values and intervals.")
    level: float = Field(description="How many measurements of 1 the intervals are to hold.")
    takes: str = Field(description="What an item is: smiles or formula.")


class Answer(About):
    """Predictions, in the order of the items, and the model that they are from."""

    predictions: list[Prediction]


class Facts(About):
    """The model that answers, and all that its card says."""

    most_items: int = Field(description="In one request.")
    about: dict[str, Any]


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str = Field(description="One sentence.")


class Ready(BaseModel):
    """Whether predictions can be asked for."""

    ready: bool
    bundle: str = Field(description="The one that answers.")
    since: float = Field(description="When it was loaded, in seconds since 1970.")
    trouble: str | None = Field(description="Why the bundle that should answer does not, or is not known.")


def _problems(**statuses: str) -> dict[int | str, dict[str, Any]]:
    return {int(name.removeprefix("s")): {"model": Problem, "description": said} for name, said in statuses.items()}


ALWAYS = _problems(s400="The body is no JSON.", s408="The request has not come in time.", s413="It is too large.")
TOKEN = _problems(s401="The token is missing or wrong.")
PREDICTING = _problems(
    s422="The request is not what the schema says.",
    s503="Too much is asked at once, or a process died: ask again.",
    s504="It takes too long: send fewer items.",
)


def make_app(champion: Champion, limits: Settings) -> App:
    """Return the application.

    Args:
        champion: the model in service.
        limits: the settings, among which are the token and the limits.
    """
    measures = Measures(champion)
    app = FastAPI(
        title="matlift",
        summary=f"Predicts {champion.model.predictor.property}",
        description="Bad items stop nothing: they come back in their place without a value, and with the reason.",
        version="1",
        lifespan=_following(champion, limits.serve_interval),
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        responses=ALWAYS,
    )
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _refused)
    _add_health(app, champion)
    _add_model(app, champion, measures, limits)
    return measures.measured(Guard(app, limits.serve_token, limits.serve_bytes, limits.serve_seconds))


def _add_health(app: FastAPI, champion: Champion) -> None:
    """Add what those ask who watch the service."""

    @app.get("/health/live", tags=["health"])
    async def live() -> dict[str, bool]:
        """Whether the service answers at all."""
        return {"live": True}

    @app.get("/health/ready", tags=["health"], response_model=Ready, responses={503: {"model": Ready}})
    async def ready() -> Response:
        """Whether predictions can be asked for, from which bundle they are, and why from no newer one."""
        model = champion.model
        content = Ready(ready=model.alive(), bundle=model.bundle, since=model.since, trouble=champion.trouble)
        return JSONResponse(content.model_dump(), 200 if content.ready else 503)


def _add_model(app: FastAPI, champion: Champion, measures: Measures, limits: Settings) -> None:
    """Add what needs the token, if there is one."""
    guarded: dict[str, Any] = {"responses": dict(TOKEN)}
    if limits.serve_token:  # the guard has asked for it already; this is for the document
        guarded["dependencies"] = [Depends(HTTPBearer(auto_error=False))]
    predicting = guarded | {"response_model": Answer, "responses": TOKEN | PREDICTING, "tags": ["predict"]}

    @app.post("/predict", **predicting)
    async def predict(
        items: Annotated[
            list[str],
            FailFast(),
            Body(embed=True, max_length=limits.serve_items, description="SMILES or formulas.", examples=[["NaCl"]]),
        ],
    ) -> Response:
        """Predict items; bad ones stop nothing."""
        model = champion.model
        try:
            part = await model.predict(items, limits.serve_seconds)
        except BusyError:
            again = refusal(503, "more is asked at once than can be answered: ask again in a moment")
            again.headers["Retry-After"] = "1"
            return again
        except TooSlowError:
            return refusal(504, f"it takes more than {limits.serve_seconds:g} s: send fewer items")
        except DiedError:
            return refusal(503, "the process that predicted died, for lack of memory perhaps: send fewer items")
        measures.count(part)
        return Response(model.answer(part), media_type="application/json")

    @app.get("/model", response_model=Facts, tags=["predict"], **guarded)
    async def facts() -> Response:
        """Which model answers: what it was learnt from, how well it does, under which licences."""
        model = champion.model
        return JSONResponse({**model.about, "most_items": limits.serve_items, "about": dict(model.predictor.about)})

    text = guarded | {"responses": TOKEN | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}}

    @app.get("/metrics", tags=["health"], response_class=Response, **text)
    async def metrics() -> Response:
        """Requests, items, and the model that answers, in the format of Prometheus."""
        return Response(measures.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _following(champion: Champion, seconds: float) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Return what looks for the champion as long as the service runs."""

    @asynccontextmanager
    async def following(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(champion.follow(seconds))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    return following


async def _malformed(_: Request, error: Exception) -> Response:
    """Say what is wrong with a request, without giving it back."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- for mypy
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return refusal(422, "the body is no JSON")
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    return refusal(422, f"{place or 'the request'}: {first['msg']}")


async def _refused(_: Request, error: Exception) -> Response:
    """Say what FastAPI itself refuses: an unknown path, another method, a body that cannot be read."""
    assert isinstance(error, HTTPException)  # noqa: S101 -- for mypy
    answer = refusal(error.status_code, str(error.detail))
    answer.headers.update(error.headers or {})
    return answer
