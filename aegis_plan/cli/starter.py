"""The text that `aegis init` writes; `NAME` stands for the name of the system."""

STARTER = """\
# yaml-language-server: $schema=../schemas/aegis-v1.schema.json
# What this system is, what it may lose and how long it may be down. Lines that begin with '#' are examples.
# The manual: aegis help documents. Check with: aegis validate
aegis: v1

system:
  name: NAME
  timezone: UTC
  objectives: {rto: 4h, rpo: 15m} # back within four hours, having lost at most fifteen minutes

tiers:
  1: {name: critical, rto: 1h}

sites:
  main: {role: primary, reach: local, file: ../site/main.yaml}

repositories:
  local: {kind: local, site: main, path: ../backups}
  # offsite: {kind: s3, bucket: my-backups, region: eu-central-1}

# stores:
#   orders-db:
#     engine: postgresql
#     members:
#       main-1:
#         site: main
#         connection: "${env:ORDERS_DB}"       # for example: host=/var/run/postgresql user=aegis
#         server:
#           data_directory: /var/lib/postgresql/18/main
#           binaries: /usr/lib/postgresql/18/bin
#           run_as: postgres
#           control: systemd:postgresql@18-main
#     backup:
#       repositories: [local]
#       full: {schedule: "0 2 * * 0", retain: 4 weeks}
#       incremental: {schedule: "0 2 * * 1-6", retain: 1 week}
#       log: {schedule: "*/5 * * * *", retain: 3 days}
#
# services:
#   orders: {tier: 1, uses: [orders-db], health: {http: {url: "http://localhost:8080/healthz"}}}
#
# scenarios:
#   database-failure: {disruption: store, affects: {stores: [orders-db]}, strategy: restore}
"""
