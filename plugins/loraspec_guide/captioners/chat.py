"""Vision models behind OpenAI-compatible servers, through ``huggingface_hub.InferenceClient``."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import field, frozen

from loraspec.drafts import LONGEST, CaptionDraft, CaptionRequest
from loraspec.errors import EnvironmentMissing
from loraspec.escape import escaped
from loraspec.imagefile import ImageError

if TYPE_CHECKING:
    from loraspec_guide.captioners.registry import OpenAIChatOptions

NO_KEY = "none"  # a key that is given keeps the client from sending the person's own hub token to this server
MOST = 20 * LONGEST  # characters of an answer: reasoning models think aloud first
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # s between tries
PIXELS_OF_A_TOKEN, LETTERS_OF_A_TOKEN = 750, 4  # what servers count, about
BUSY = (408, 409, 425, 429, 500, 502, 503, 504)


class _Failed(Exception):
    """A try that failed: ``again`` when another may do better, ``wait`` as the server asks."""

    def __init__(self, message: str, *, again: bool = False, wait: float = 0.0, gone: bool = False) -> None:
        self.again, self.wait, self.gone = again, wait, gone
        super().__init__(message)


@frozen(eq=False)
class OpenAIChat:
    """Asks a server about several images at a time.

    When the server cannot be reached at all, the other images are not tried.
    """

    options: OpenAIChatOptions
    _gone: threading.Event = field(init=False, factory=threading.Event)

    @property
    def local(self) -> bool:
        """Whether the server runs on this machine."""
        host = urlsplit(self.options.base_url).hostname or ""
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def consent(self) -> bool:
        """Whether a person is asked first: images leave the machine, or it costs something."""
        return not self.local or self.options.price_in > 0 or self.options.price_out > 0

    def announce(self, requests: Sequence[CaptionRequest]) -> str:
        """Say where the images go, how many tokens that will be, about, and what they cost."""
        options, count = self.options, len(requests)
        words = len(self._instructions(requests[0])) // LETTERS_OF_A_TOKEN if requests else 0
        sent, back = count * (words + options.max_side**2 // PIXELS_OF_A_TOKEN), count * options.max_tokens
        cost = (sent * options.price_in + back * options.price_out) / 1e6
        where = f"{urlsplit(options.base_url).netloc}, " + ("on this machine" if self.local else "which is NOT this machine")
        price = f", at most about {cost:.2f} USD" if options.price_in or options.price_out else ""
        return f"{count} images, at most {options.max_side} px, go to {options.model} at {where}: up to {sent + back:,} tokens{price}"

    def caption(self, requests: Sequence[CaptionRequest]) -> Iterator[CaptionDraft]:
        """Yield drafts as they come.

        Raises:
            EnvironmentMissing: ``key_variable`` is not set.
        """
        client = self._client()
        with ThreadPoolExecutor(self.options.concurrency, thread_name_prefix="captioner") as pool:
            waiting = [pool.submit(self._draft, client, request) for request in requests]
            try:
                for future in as_completed(waiting):
                    yield future.result()
            finally:
                self._gone.set()  # whoever waits for the next try gives up
                for future in waiting:
                    future.cancel()
        self._gone.clear()

    def _client(self) -> Any:
        from huggingface_hub import InferenceClient

        key, name = NO_KEY, self.options.key_variable
        if name:
            key = os.environ.get(name, "")
            if not key:
                message, hint = f"the environment variable {name} is not set", "it holds the server's key"
                raise EnvironmentMissing(message, hint=hint).coded("E-CAP-DRAFT")
        return InferenceClient(base_url=self.options.base_url, api_key=key, timeout=self.options.timeout)

    def _draft(self, client: Any, request: CaptionRequest) -> CaptionDraft:
        options, since, wait = self.options, time.perf_counter(), FIRST_WAIT
        failed = _Failed("the server could not be reached for another image")
        for left in range(options.retries, -1, -1):
            if self._gone.is_set():
                break
            try:
                text = self._answer(client, request)
                return CaptionDraft(request.key, text, model=options.model, seconds=time.perf_counter() - since)
            except _Failed as error:
                failed = error
                if not error.again or not left:
                    break
                self._gone.wait(min(max(wait, error.wait), LONGEST_WAIT))
                wait *= 2
            except (ImageError, OSError) as error:
                return CaptionDraft(request.key, problem=f"the image {error}", model=options.model)
        if failed.gone:
            self._gone.set()
        return CaptionDraft(request.key, problem=str(failed), model=options.model, seconds=time.perf_counter() - since)

    def _answer(self, client: Any, request: CaptionRequest) -> str:
        """Ask once.

        Raises:
            _Failed: Without an answer.
            ImageError: The image is none.
        """
        options, content = self.options, [
            {"type": "image_url", "image_url": {"url": self._picture(request)}},
            {"type": "text", "text": self._question(request)},
        ]  # fmt: skip
        messages = [{"role": "system", "content": self._instructions(request)}, {"role": "user", "content": content}]
        ends = time.monotonic() + options.timeout
        said: list[str] = []
        try:
            asked = {"model": options.model, "max_tokens": options.max_tokens, "temperature": options.temperature, "seed": options.seed}
            for part in client.chat_completion(messages, stream=True, **asked):
                said += [choice.delta.content or "" for choice in part.choices[:1]]
                if time.monotonic() > ends:
                    raise _Failed(f"the answer took more than {options.timeout:g} s", again=True)
                if sum(map(len, said)) > MOST:
                    raise _Failed(f"the answer is longer than {MOST} characters")
        except _Failed:
            raise
        except Exception as error:  # of huggingface_hub, of the HTTP library beneath it, of JSON: a server may answer anything
            raise self._failed(error) from None
        return plain_answer("".join(said))

    def _failed(self, error: Exception) -> _Failed:
        """What went wrong; by name, since the HTTP library is another in other versions of ``huggingface_hub``."""
        names = {kind.__name__ for kind in type(error).__mro__}
        if names & {"HfHubHTTPError"}:
            return _refused(error)
        if names & {"InferenceTimeoutError", "TimeoutException"}:
            return _Failed(f"no answer within {self.options.timeout:g} s", again=True)
        if names & {"ConnectError", "ConnectionError"}:
            return _Failed(f"no server listens at {self.options.base_url}", again=True, gone=True)
        if names & {"HTTPError", "TransportError", "OSError"}:
            return _Failed(f"the connection broke: {type(error).__name__}", again=True)
        return _Failed(f"the server does not answer as OpenAI's do: {type(error).__name__}", again=True)

    def _picture(self, request: CaptionRequest) -> str:
        image, buffer = request.image(), io.BytesIO()
        image.thumbnail((self.options.max_side, self.options.max_side))
        image.save(buffer, "JPEG", quality=92)
        return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"

    def _instructions(self, request: CaptionRequest) -> str:
        parts = [request.instructions.strip()]
        if request.style_tag:
            parts.append(f"The style tag is: {request.style_tag}")
        if request.examples:
            parts.append("\n".join(["Captions as they should be:", *request.examples]))
        return "\n\n".join(parts)

    def _question(self, request: CaptionRequest) -> str:
        return f"Its caption is now: {request.caption}\nWrite a better one." if request.caption else "Write the caption of this picture."


def _refused(error: Any) -> _Failed:
    """What a server's refusal means."""
    code, headers = error.response.status_code, error.response.headers
    try:
        wait = float(headers.get("Retry-After", 0))
    except ValueError:
        wait = 0.0
    try:
        body = json.loads(error.response.text)["error"]
        reason = body["message"] if isinstance(body, dict) else body
    except Exception:  # a body may be anything, or not be read yet
        reason = ""
    told = f": {escaped(str(reason)[:300])}" if reason else ""
    return _Failed(f"the server answered {code}{told}", again=code in BUSY, wait=max(0.0, wait))


def plain_answer(text: str) -> str:
    """Return the caption in an answer: without thoughts, code fences, a heading, or JSON around it."""
    text = re.sub(r"<think>.*?(</think>|$)", "", text, flags=re.DOTALL).strip()
    fenced = re.search(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    text = (fenced[1] if fenced else text).strip()
    if text[:1] in ("{", "["):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            value = next((value[name] for name in ("caption", "text", "description", "descriptors", "tags") if name in value), None)
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            value = ", ".join(value)
        text = value if isinstance(value, str) else text
    return re.sub(r"^(the )?caption( of this picture)?\s*:\s*", "", text, flags=re.IGNORECASE).strip()
