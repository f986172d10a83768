# s2t-np as a server, for any user id and a read-only file system; docs/server.md has the commands.
FROM python:3.12-slim AS build
COPY . /src
RUN python -m venv /opt/s2t-np && /opt/s2t-np/bin/pip install --no-cache-dir "/src[serve,hub]"

FROM python:3.12-slim
COPY --from=build /opt/s2t-np /opt/s2t-np
ENV PATH=/opt/s2t-np/bin:$PATH \
    S2T_NP_CACHE_DIR=/opt/kernels \
    HF_HOME=/models \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# Root compiles the kernels, so that every user id trusts and loads them.
RUN s2t-np info --backend numba && python -m compileall -q /opt/s2t-np
USER 65534:65534
EXPOSE 8000
HEALTHCHECK --start-period=30s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=5)"]
ENTRYPOINT ["s2t-np"]
CMD ["serve", "--host", "0.0.0.0", "--model", "digits"]
