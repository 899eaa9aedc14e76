#!/bin/sh
# A streaming replica: copies its primary the first time, then follows it. PRIMARY_HOST, REPLICATION_PASSWORD, PGDATA;
# the arguments go to postgres.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # Under another name until it is whole: a copy that was cut short is begun anew.
    unfinished="$PGDATA.unfinished"
    rm -rf "$unfinished"
    mkdir -p "$(dirname "$PGDATA")"
    PGPASSWORD="$REPLICATION_PASSWORD" pg_basebackup --host "$PRIMARY_HOST" --port "${PRIMARY_PORT:-5432}" \
        --username replicator --pgdata "$unfinished" --write-recovery-conf --slot replica \
        --wal-method stream --checkpoint fast
    [ ! -d "$PGDATA" ] || rmdir "$PGDATA"
    mv "$unfinished" "$PGDATA"
fi
# A cluster may have opened it to the group with the mount (fsGroup), and Postgres starts from no such folder.
chmod 0700 "$PGDATA"
exec postgres -D "$PGDATA" "$@"
