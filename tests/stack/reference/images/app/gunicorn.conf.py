import os
import shutil

from prometheus_client import multiprocess

from app.logs import logging_config

bind = "0.0.0.0:8000"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "uvicorn_worker.UvicornWorker"
worker_tmp_dir = "/dev/shm"
graceful_timeout = 8
forwarded_allow_ips = "*"
logconfig_dict = logging_config(os.environ.get("LOG_LEVEL", "INFO"))

os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", "/tmp/prometheus")


def on_starting(server):
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
    os.makedirs(os.environ["PROMETHEUS_MULTIPROC_DIR"])


def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
