from tools.embedded import rabbitmq

# RabbitMQ is an option of the embedded stack. CI installs it, so there nothing is left out.
collect_ignore = [] if rabbitmq.is_installed() else ["test_rabbitmq.py"]
