# What must be the same after a repair: files, what runs, and what it answers. For root, on any machine of the lab.
# Prints the same twice. Left out is what differs between two undisturbed runs: copies of what was there before,
# identifiers (also of images, which have names), what the machine makes for itself, and what the roles leave to runs
# of the next day (toolbox/leftovers).
export LC_ALL=C
# When a backup was made, or a database replaced.
stamp='s/[0-9]{8}T[0-9]{6}Z/TIME/'

echo "== files"
find /etc /srv/bookface /var/www /var/backups/bookface* /var/tmp /run/bookface -xdev \
  ! -name '*~' ! -name '*-' ! -name '*.previous.json' ! -name '.updated' ! -name '.pwd.lock' ! -name '*.lock' \
  ! -name 'ssh_host_*' ! -name 'machine-id' ! -path '*/systemd-private-*' ! -name 'ld.so.cache' ! -name 'mtab' \
  ! -path '/etc/ssl/*' ! -path '/etc/docker/key.json' ! -path '/etc/resolv.conf' ! -path '/etc/hosts' \
  ! -path '/etc/varnish/secret' ! -name '.*.dump.partial' ! -path '*/bookface-image-*' ! -path '*/bookface-base-*' ! -path '*/bookface-registry-*' \
  -printf '%p %y %m %u %g %l\n' 2> /dev/null | sed -E "$stamp" | sort
find /etc /srv/bookface /var/www -xdev -type f \
  ! -name '*~' ! -name '*-' ! -name '*.previous.json' ! -name '.updated' ! -name '.pwd.lock' \
  ! -name 'ssh_host_*' ! -name 'machine-id' ! -name 'ld.so.cache' ! -name 'shadow' ! -name 'gshadow' \
  ! -path '/etc/ssl/*' ! -path '/etc/docker/key.json' ! -path '/etc/resolv.conf' ! -path '/etc/hosts' \
  ! -path '/etc/varnish/secret' ! -path '/etc/haproxy/certificates/self-signed.pem*' -print0 2> /dev/null | sort -z | xargs -0 sha256sum
# The application that Apache serves; the release before it lies beside.
if [ -d /var/lib/bookface/live ]; then
  (cd -P /var/lib/bookface/live && find . -printf '%p %y %m %u %g %l\n' && find . -type f -exec sha256sum {} +) | sort
fi

echo "== packages"
dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n'

echo "== services"
systemctl list-units --plain --no-legend --type=service --state=running,failed | cut -d ' ' -f 1 \
  | grep -v -e '^user@' -e '^session' -e '^systemd-' -e hostnamed | sort
systemctl list-unit-files --plain --no-legend --type=service --state=enabled | cut -d ' ' -f 1
systemctl show '*.service' --property=Id,NeedDaemonReload | paste -sd ' ' | grep -o 'Id=[^ ]* NeedDaemonReload=yes'
# Docker's proxies come and go with its containers; the ports themselves stay.
ss -Hltn | awk '{ print $4 }' | sort -u | grep -v -E '^127\.0\.0\.(1|11):[3-6][0-9]{4}$'

if command -v nft > /dev/null; then
  echo "== firewall"
  nft --stateless list table inet bookface_platform 2> /dev/null
fi

if [ -S /run/haproxy/admin.sock ]; then
  echo "== HAProxy"
  asked() {
    python3 -c 'import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect("/run/haproxy/admin.sock")
peer.sendall(sys.argv[1].encode() + b"\n")
print(peer.makefile().read())' "$1"
  }
  # The administrator's part of the state; health has its own time.
  asked 'show servers state' | awk 'NF > 20 { print $2, $4, $5, $7 }'
  for map in $(asked 'show map' | sed -n 's/^[0-9]* (\(\/[^)]*\)).*/\1/p'); do
    asked "show map $map" | cut -d ' ' -f 2-
  done
  curl -s -o /dev/null -D - http://127.0.0.1/ | tr -d '\r' | grep -i '^x-' | grep -vi -e '^x-bookface-host' -e '^x-bookface-server' | sort
fi

if command -v varnishadm > /dev/null; then
  echo "== Varnish"
  varnishadm vcl.show "$(varnishadm vcl.list | awk '/^active/ { print $NF }')" | sha256sum
fi

if ss -Hltn 'sport = :11211' | grep -q .; then
  echo "== memcached"
  bash -c 'exec 3<> "/dev/tcp/$1/11211"; printf "stats settings\r\nquit\r\n" >&3; cat <&3' - \
    "$(ss -Hltn 'sport = :11211' | awk '{ sub(/:[0-9]+$/, "", $4); print $4; exit }')" \
    | tr -d '\r' | grep -E ' (maxbytes|maxconns|item_size_max|inter) '
fi

for port in 80 8082; do
  if [ -d /etc/apache2 ] && ss -Hltn "sport = :$port" | grep -q .; then
    echo "== Apache"
    curl -s "http://127.0.0.1:$port/" | grep -o 'showuser' | wc -l
    curl -s -o /dev/null -w '%{http_code}\n' "http://127.0.0.1:$port/news.html"
  fi
done

if [ -d /run/pgbouncer ] && command -v php > /dev/null; then
  echo "== PgBouncer"
  for socket in /run/pgbouncer/.s.PGSQL.*[0-9]; do
    su postgres -s /bin/sh -c "php -r '
      \$db = pg_connect(\"host=/run/pgbouncer user=pgbouncer dbname=pgbouncer port=${socket##*.}\");
      foreach (pg_fetch_all(pg_query(\$db, \"show config\")) as \$one) echo \$one[\"key\"], \" \", \$one[\"value\"], \"\\n\";'"
  done
fi

if command -v pg_lsclusters > /dev/null && [ -n "$(pg_lsclusters --no-header)" ]; then
  echo "== PostgreSQL"
  database=$(su postgres -c "psql -qAtc \"select datname from pg_database where datname = 'bf'\"")
  su postgres -c "psql -qAt ${database:-postgres}" <<'SQL' | sed -E "$stamp"
select name, setting, pending_restart from pg_settings where source = 'configuration file' order by name;
select rolname, rolsuper, rolcanlogin, rolpassword is null from pg_authid where rolname !~ '^pg_' order by 1;
select datname, datdba::regrole, datcollate from pg_database order by 1;
select oid::regclass, relkind, relowner::regrole, relacl from pg_class where relnamespace = 'public'::regnamespace
  order by oid::regclass::text;
select indexrelid::regclass, indisvalid, pg_get_indexdef(indexrelid) from pg_index
  where indrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace)
  order by indexrelid::regclass::text;
select relname, (xpath('/row/c/text()', query_to_xml('select count(*) as c from public.' || relname, false, true, '')))[1]
  from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1;
SQL
  # Whom the running server lets in, of the accounts that the files name.
  for account in bfuser bfowner; do
    PGPASSWORD=wrong psql -qAt -h "$(hostname -I | cut -d ' ' -f 1)" -U "$account" bf -c 'select 1' 2>&1 \
      | grep -o -e 'password authentication failed' -e 'no pg_hba.conf entry' | head -1
  done
fi

if command -v docker > /dev/null; then
  echo "== Docker"
  docker info --format '{{.Debug}} {{.LoggingDriver}} {{.LiveRestoreEnabled}} {{.DefaultAddressPools}} {{.Swarm.LocalNodeState}}'
  docker ps -a --format '{{.ID}} {{.Label "com.docker.swarm.task.id"}}' | awk 'NF == 1' | xargs -r docker inspect --format \
    '{{.Name}} {{.State.Status}} {{json .HostConfig}} {{json .Mounts}} {{.Config.Env}} {{.Config.Image}}' | sort
  docker image ls --format '{{.Repository}}:{{.Tag}}' | grep -v '<none>' | sort
  docker network ls --format '{{.Name}} {{.Driver}}' | sort
  docker volume ls --quiet | grep -v -E '^[0-9a-f]{64}$'
  if [ "$(docker info --format '{{.Swarm.ControlAvailable}}')" = true ]; then
    docker node ls --format '{{.Hostname}} {{.Status}} {{.Availability}} {{.ManagerStatus}}' | sort
    docker service ls --quiet | xargs -r docker service inspect --format '{{json .Spec}}' \
      | sed -E 's/"(SecretID|Target)":"[^"]*"/"\1"/g; s/"Image":"sha256:[0-9a-f]*"/"Image"/; s/_v[0-9]+"/"/g; s/"ForceUpdate":[0-9]+/"ForceUpdate"/'
    docker service ls --format '{{.Name}}' | xargs -r -n 1 docker service ps --filter desired-state=running \
      --format '{{.CurrentState}}' | cut -d ' ' -f 1
    docker secret ls --format '{{.Name}}' | sed -E 's/_v[0-9]+$//' | sort
  fi
fi
