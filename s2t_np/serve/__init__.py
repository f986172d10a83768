"""A server: OpenAI's audio API, live sound over a WebSocket, and a page for the browser.

    settings.py      what is served, to whom, and the limits
    refusals.py      errors in OpenAI's shape
    guard.py         the door: hosts, origins, the key, the size of uploads; metrics.py counts what passes
    desk.py          one queue of work and the threads that do it; a request that is gone stops computing
    cancelling.py    a model that stops at its next step
    shared_steps.py  the decoder steps that all requests share
    parameters.py    the fields of a request -> what is asked of the model
    transcribe.py    one upload -> segments and a recording, on a worker thread
    replies.py       the response formats, and the events of a stream
    live.py          the WebSocket: sound in, segments out
    explorer.py      pages of the explorer, kept for a while
    app.py           the routes; web/ is the page at /

starlette and uvicorn (extra `[serve]`) are imported when a server starts. Nothing that a request names is opened: model
names are compared with those served, and an upload is read from an anonymous temporary file.
"""
