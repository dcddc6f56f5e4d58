# The worker: graph, students, training, predictions.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/olad
ENV PATH=/opt/olad/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# cpu, or another of PyTorch's own builds (cu130, ...); empty: the build on the package index, on Linux for CUDA.
ARG TORCH_VARIANT=cpu
COPY requirements requirements
# The largest layer, which changes least. Alone, so that nothing else is taken from PyTorch's index.
RUN version=$(sed -n 's/^torch==//p' requirements/torch.txt) \
    && if [ -n "$TORCH_VARIANT" ]; then \
         pip install --no-deps --extra-index-url "https://download.pytorch.org/whl/$TORCH_VARIANT" "torch==$version+$TORCH_VARIANT"; \
       else \
         pip install --no-deps "torch==$version"; \
       fi

# Dependencies first: a change of the code does not install them again. The third line adds what that build of torch needs.
RUN pip install --require-hashes -r requirements/run.txt \
    && pip install --require-hashes --no-deps -r requirements/no-deps.txt \
    && pip install -r requirements/torch.txt
COPY pyproject.toml README.md LICENSE ./
COPY olad_core olad_core
COPY service service
RUN pip install --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 10001 olad \
    && useradd --system --uid 10001 --gid olad --home-dir /var/lib/olad --create-home --shell /usr/sbin/nologin olad
COPY --from=build /opt/olad /opt/olad
ENV PATH=/opt/olad/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    OLAD_DATA_DIR=/var/lib/olad
WORKDIR /var/lib/olad
USER 10001:10001
CMD ["olad", "worker"]
