import os
import shutil

os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", "/tmp/prometheus")  # read when prometheus_client is imported

from prometheus_client import multiprocess  # noqa: E402

from app.logs import logging_config  # noqa: E402

bind = "0.0.0.0:8000"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "uvicorn_worker.UvicornWorker"
preload_app = True
worker_tmp_dir = "/dev/shm"
control_socket_disable = True
graceful_timeout = 8
forwarded_allow_ips = "*"
logconfig_dict = logging_config(os.environ.get("LOG_LEVEL", "INFO"))


def on_starting(server):
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
    os.makedirs(os.environ["PROMETHEUS_MULTIPROC_DIR"])


def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
