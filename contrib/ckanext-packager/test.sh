#!/bin/bash
# Test the extension against a real CKAN, on Debian 12:  test.sh CKAN_VERSION [arguments of pytest]
#
# Builds that CKAN in .venv-ckan-VERSION, starts PostgreSQL, Redis and a stand-in for Solr in a temporary folder and on
# free ports of 127.0.0.1, runs the tests, and stops and removes all but the virtual environment.  Browser tests run if
# Debian's chromium is there; CKANPACKAGER names the command of the packager that they use.
set -euo pipefail
version=$1; shift
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=$root/.venv-ckan-$version
export CKANPACKAGER=${CKANPACKAGER:-$root/.venv/bin/ckanpackager}

missing=
for program in psql redis-server pg_config gcc; do command -v "$program" >/dev/null || missing+=" $program"; done
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=" initdb"
ldconfig -p | grep -q libmagic.so.1 || missing+=" libmagic"
if [ -n "$missing" ]; then
    echo "missing:$missing; as root: apt-get install postgresql postgresql-client redis-server libpq-dev libmagic1 gcc python3-dev chromium" >&2
    exit 2
fi

if [ ! -e "$venv/ok" ]; then
    sh "$root/contrib/venv.sh" python3 "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check "setuptools<80" wheel
    "$venv/bin/pip" install -q --disable-pip-version-check "ckan[requirements]==$version" \
        pytest pytest-factoryboy factory-boy Faker playwright axe-playwright-python aiosmtpd
    touch "$venv/ok"
fi
rm -rf "$here/build"  # what an older tree left there would be installed, too
"$venv/bin/pip" install -q --disable-pip-version-check --no-deps --force-reinstall "$here"
rm -rf "$here/build" "$here"/*.egg-info

folder=$(mktemp -d /tmp/test-ckan-XXXXXX); chmod 755 "$folder"
pids=
as_postgres=; [ "$(id -u)" != 0 ] || as_postgres="runuser -u postgres --"
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
stop() {
    # shellcheck disable=SC2086
    [ -z "$pids" ] || kill $pids 2>/dev/null || true
    (cd "$folder" && $as_postgres "$bin/pg_ctl" -D "$folder/pg" -s -m immediate stop) || true
    rm -rf "$folder"
}
trap stop EXIT
read -r pg_port redis_port solr_port < <("$venv/bin/python" -c '
import socket
free = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(server.getsockname()[1] for server in free))')

mkdir "$folder/pg"; [ -z "$as_postgres" ] || chown postgres: "$folder/pg"
(cd "$folder" && $as_postgres "$bin/initdb" -D "$folder/pg" -U postgres -A trust -E UTF8 --locale=C.UTF-8 -T english >/dev/null)
printf "port = %s\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\n" "$pg_port" |
    $as_postgres tee -a "$folder/pg/postgresql.conf" >/dev/null
(cd "$folder" && $as_postgres "$bin/pg_ctl" -D "$folder/pg" -s -w -l "$folder/pg/log" start)
redis-server --bind 127.0.0.1 --port "$redis_port" --save '' --appendonly no --dir "$folder" >/dev/null & pids+=" $!"
"$venv/bin/python" "$root/tests/support/solr_stub.py" "$solr_port" "$(cut -d. -f1,2 <<<"$version")" & pids+=" $!"

psql -Xq -v ON_ERROR_STOP=1 "postgresql://postgres@127.0.0.1:$pg_port/postgres" <<'END'
create role ckan_default login password 'pass';
create role datastore_default login password 'pass';
create database ckan_default owner ckan_default;
create database datastore_default owner ckan_default;
END
ckan=$venv/bin/ckan
at=127.0.0.1:$pg_port
"$ckan" generate config -i datastore "$folder/test.ini" >/dev/null
"$ckan" config-tool "$folder/test.ini" \
    "sqlalchemy.url=postgresql://ckan_default:pass@$at/ckan_default" \
    "ckan.datastore.write_url=postgresql://ckan_default:pass@$at/datastore_default" \
    "ckan.datastore.read_url=postgresql://datastore_default:pass@$at/datastore_default" \
    "solr_url=http://127.0.0.1:$solr_port/solr/ckan" "ckan.redis.url=redis://127.0.0.1:$redis_port/0" \
    "ckan.plugins=datastore datatables_view packager" "ckan.storage_path=$folder/storage" \
    "ckan.site_id=test" "ckan.site_url=http://test.ckan.net" "testing=true" \
    "ckanext.packager.url=http://127.0.0.1:9" "ckanext.packager.secret=the-secret-of-the-tests" >/dev/null
for _ in $(seq 100); do redis-cli -p "$redis_port" ping >/dev/null 2>&1 && break; sleep 0.1; done
"$ckan" -c "$folder/test.ini" db init >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
"$ckan" -c "$folder/test.ini" datastore set-permissions 2>>"$folder/log" |
    psql -Xq "postgresql://postgres@$at/postgres" >>"$folder/log" 2>&1
"$ckan" -c "$folder/test.ini" db upgrade -p packager >>"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
echo "CKAN $version, $folder"
if [ -n "${TEST_CKAN_SHELL:-}" ]; then  # look around in a shell before all is removed
    export folder venv; exec 3<&0; bash || true; exit
fi
(cd "$here" && "$venv/bin/pytest" --ckan-ini="$folder/test.ini" -p no:cacheprovider "$@")
