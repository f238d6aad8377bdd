import os

from backend import logs

bind = "0.0.0.0:8000"
workers = 2
worker_class = "uvicorn.workers.UvicornWorker"
timeout = 90
graceful_timeout = 8
worker_tmp_dir = "/dev/shm"
logconfig_dict = logs.config(os.environ.get("ORDERS_LOG_LEVEL", "INFO").upper())
