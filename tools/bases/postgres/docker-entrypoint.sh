#!/usr/bin/env bash
# Entry point of the PostgreSQL stand-in: the variables, paths and order of events are those that users of the official
# image rely on (https://hub.docker.com/_/postgres), so that a stack cannot tell the two apart.
set -Eeuo pipefail
shopt -s nullglob

scripts_dir=/docker-entrypoint-initdb.d
socket_dir=/var/run/postgresql

fail() {
  printf 'docker-entrypoint.sh: %s\n' "$*" >&2
  exit 1
}

# setting NAME [DEFAULT]: sets NAME from NAME_FILE when that is given. Both at once is a mistake that would otherwise show
# up much later, as a wrong password.
setting() {
  local name=$1 default=${2:-} file_name=${1}_FILE
  if [[ -n ${!name:-} && -n ${!file_name:-} ]]; then
    fail "$name and $file_name are both set; set one of them"
  fi
  local value=${!name:-$default}
  if [[ -n ${!file_name:-} ]]; then
    [[ -r ${!file_name} ]] || fail "$file_name names ${!file_name}, which $(id -un 2>/dev/null || id -u) cannot read"
    value=$(<"${!file_name}")
  fi
  printf -v "$name" '%s' "$value"
  unset "$file_name"
}

# Only the server needs a cluster: `postgres --version` and the like do not, and neither does any other command.
starts_server() {
  [[ $1 == postgres ]] || return 1
  local arg
  for arg in "${@:2}"; do
    case $arg in
      -'?' | --help | --describe-config | -V | --version) return 1 ;;
    esac
  done
}

prepare_directories() {
  mkdir -p "$PGDATA" "$socket_dir"
  # Neither may be ours to change: a volume owned by the user, a read-only root with a tmpfs. The server checks again.
  chmod 0700 "$PGDATA" 2>/dev/null || true
  chmod 3775 "$socket_dir" 2>/dev/null || true
  if [[ -n ${POSTGRES_INITDB_WALDIR:-} ]]; then
    mkdir -p "$POSTGRES_INITDB_WALDIR"
    chmod 0700 "$POSTGRES_INITDB_WALDIR" 2>/dev/null || true
  fi
}

# As root, hand the data over and start this script again as postgres: the server refuses to run as root.
drop_root() {
  local dir
  for dir in "$PGDATA" "$socket_dir" ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"}; do
    find "$dir" \! -user postgres -exec chown postgres '{}' +
  done
  exec setpriv --reuid=postgres --regid=postgres --init-groups "${BASH_SOURCE[0]}" "$@"
}

# initdb and psql ask for the name of the user they run as; an arbitrary --user has none.
name_the_user() {
  getent passwd "$(id -u)" >/dev/null && return
  local wrapper
  for wrapper in /usr/lib/*/libnss_wrapper.so; do
    NSS_WRAPPER_PASSWD=$(mktemp)
    NSS_WRAPPER_GROUP=$(mktemp)
    printf 'postgres:x:%s:%s:PostgreSQL:%s:/bin/false\n' "$(id -u)" "$(id -g)" "$PGDATA" >"$NSS_WRAPPER_PASSWD"
    printf 'postgres:x:%s:\n' "$(id -g)" >"$NSS_WRAPPER_GROUP"
    export LD_PRELOAD=$wrapper NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
    return
  done
}

# The server itself needs no name, and must not carry a preloaded library into every backend.
forget_the_name() {
  [[ -n ${NSS_WRAPPER_PASSWD:-} ]] || return 0
  rm -f "$NSS_WRAPPER_PASSWD" "$NSS_WRAPPER_GROUP"
  unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
}

require_password() {
  if [[ $POSTGRES_HOST_AUTH_METHOD == trust ]]; then
    echo 'docker-entrypoint.sh: warning: POSTGRES_HOST_AUTH_METHOD=trust lets anyone who reaches the port in, without a password' >&2
  elif [[ -z $POSTGRES_PASSWORD ]]; then
    fail 'a new database needs a password for its superuser: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE' \
      '(or POSTGRES_HOST_AUTH_METHOD=trust, to let everyone in without one)'
  fi
}

create_cluster() {
  local -a args=(--username="$POSTGRES_USER")
  if [[ -n $POSTGRES_PASSWORD ]]; then
    # A descriptor, not a file or an argument: the password appears neither on disk nor in the process list.
    exec {password_fd}< <(printf '%s\n' "$POSTGRES_PASSWORD")
    args+=(--pwfile="/dev/fd/$password_fd")
  fi
  if [[ -n ${POSTGRES_INITDB_WALDIR:-} ]]; then
    args+=(--waldir="$POSTGRES_INITDB_WALDIR")
  fi
  # POSTGRES_INITDB_ARGS is one string that holds several arguments, quoted as in a shell; the official image evaluates it too.
  eval 'initdb "${args[@]}" '"$POSTGRES_INITDB_ARGS"
  if [[ -n $POSTGRES_PASSWORD ]]; then
    exec {password_fd}<&-
  fi

  local method=${POSTGRES_HOST_AUTH_METHOD:-}
  if [[ -z $method ]]; then
    # Asked of the server, because an argument such as `-c password_encryption=md5` changes it.
    method=$(postgres -C password_encryption -D "$PGDATA" "$@")
  fi
  printf '\n# From anywhere but this container.\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

# run_sql [PSQL ARGUMENT…]: psql on the temporary server, as the superuser, stopping at the first error.
run_sql() {
  PGHOST='' PGHOSTADDR='' PGPASSWORD=$POSTGRES_PASSWORD \
    psql --no-psqlrc --no-password --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" "$@"
}

# A server for the set-up alone: it listens on the socket only, so nobody outside meets a half-made database.
start_temporary_server() {
  local arguments
  printf -v arguments '%q ' "${@:2}" -c listen_addresses= -p "${PGPORT:-5432}"
  NOTIFY_SOCKET='' pg_ctl --pgdata "$PGDATA" --wait --silent --options "$arguments" start
}

create_database() {
  [[ $POSTGRES_DB != postgres ]] || return 0
  local found
  found=$(run_sql --dbname postgres --tuples-only --no-align --set db="$POSTGRES_DB" \
    <<<"SELECT 1 FROM pg_database WHERE datname = :'db'")
  [[ -n $found ]] || run_sql --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db"'
}

run_script() {
  local script=$1
  echo "docker-entrypoint.sh: running $script"
  case $script in
    *.sh)
      if [[ -x $script ]]; then
        "$script"
      else
        # shellcheck disable=SC1090 # which scripts there are is the user's business
        . "$script"
      fi
      ;;
    *.sql) run_sql --dbname "$POSTGRES_DB" --file "$script" ;;
    *.sql.gz) gunzip --stdout "$script" | run_sql --dbname "$POSTGRES_DB" ;;
    *) echo "docker-entrypoint.sh: ignoring $script: neither .sh, .sql nor .sql.gz" ;;
  esac
}

set_up_database() {
  require_password
  name_the_user
  create_cluster "${@:2}"
  start_temporary_server "$@"
  create_database
  local script
  for script in "$scripts_dir"/*; do
    run_script "$script"
  done
  pg_ctl --pgdata "$PGDATA" --mode fast --wait --silent stop
  forget_the_name
  echo 'docker-entrypoint.sh: the database is set up'
}

if [[ ${1:-} == -* ]]; then
  set -- postgres "$@"
fi

if starts_server "$@"; then
  prepare_directories
  if [[ $(id -u) -eq 0 ]]; then
    drop_root "$@"
  fi
  if [[ -s $PGDATA/PG_VERSION ]]; then
    echo 'docker-entrypoint.sh: using the database found in PGDATA'
  else
    setting POSTGRES_PASSWORD
    setting POSTGRES_USER postgres
    setting POSTGRES_DB "$POSTGRES_USER"
    setting POSTGRES_INITDB_ARGS
    : "${POSTGRES_HOST_AUTH_METHOD:=}"
    # Scripts of /docker-entrypoint-initdb.d read these.
    export POSTGRES_USER POSTGRES_DB PGDATA
    set_up_database "$@"
  fi
  unset POSTGRES_PASSWORD
fi

exec "$@"
