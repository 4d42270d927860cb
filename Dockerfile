# The driver: the plugin, the analysis, perf, graphviz and the engine's client in one image. It runs
# each case in a sibling container of the engine whose socket is mounted. README, "In a container".
#
# wattwhy images build driver makes it, on a public Debian or, with --base local, from this host's files.
ARG BASE_IMAGE=debian:12-slim
FROM ${BASE_IMAGE}
COPY pyproject.toml README.md LICENSE conftest.py /opt/wattwhy/
COPY energy_plugin /opt/wattwhy/energy_plugin
COPY causal_report /opt/wattwhy/causal_report
COPY templates /opt/wattwhy/templates
COPY images /opt/wattwhy/images
COPY benchmarks /opt/wattwhy/benchmarks
# Does nothing where the base has it all, so that no network is needed on a local base.
RUN ["/bin/sh", "/opt/wattwhy/images/base/install-driver"]
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONPATH=/opt/wattwhy \
    XDG_CACHE_HOME=/study/.cache \
    PYTEST_ADDOPTS="--energy-executor=docker --energy-results=/study/results -p no:cacheprovider"
WORKDIR /opt/wattwhy
ENTRYPOINT ["python3", "-m"]
CMD ["energy_plugin", "doctor"]
