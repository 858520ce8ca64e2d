-- Roles and rights of one service's database. Safe to run at any time: it creates what is missing and sets the rest to what it
-- should be, passwords included.
--
-- Variables: database (its name). Files: /run/secrets/owner_password; of app_login (two lines: app_a or app_b, and its password)
-- and app_password (of app_a) the first that there is; where they are, metrics_password and readonly_password.
--
--   <database>_owner      owns the schema, runs migrations
--   <database>_app        group: what migrations grant to it is all that the serving roles can do
--   <database>_app_a, _b  login roles of the serving processes, members of that group. One of them is in use; the other cannot log in,
--                         unless a rotation is under way, whose business it is
--   <database>_metrics    sees statistics, for monitoring; no table
--   <database>_readonly   for people who look: what migrations grant to it, and no transaction of it changes anything
\set ON_ERROR_STOP on
\set QUIET on
\set owner_password `cat /run/secrets/owner_password`
\set app_role `if [ -e /run/secrets/app_login ]; then sed -n 1p /run/secrets/app_login; else echo app_a; fi`
\set app_password `if [ -e /run/secrets/app_login ]; then sed -n 2p /run/secrets/app_login; else cat /run/secrets/app_password; fi`
\set metrics_password `cat /run/secrets/metrics_password 2>/dev/null || true`
\set readonly_password `cat /run/secrets/readonly_password 2>/dev/null || true`

-- No password may reach the server's log, not even when a statement fails.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET password_encryption = 'scram-sha-256';
SET client_min_messages = 'warning';

SELECT :'database' || '_owner' AS owner, :'database' || '_app' AS app, :'database' || '_' || :'app_role' AS active,
       :'database' || '_metrics' AS metrics, :'database' || '_readonly' AS readonly,
       ARRAY[:'database' || '_app_a', :'database' || '_app_b'] AS apps \gset

-- A role that is new cannot log in.
SELECT format('CREATE ROLE %I', role)
  FROM unnest(ARRAY[:'owner', :'app', :'metrics', :'readonly'] || :'apps'::text[]) AS role
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec

SELECT format('ALTER ROLE %I INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', role)
  FROM unnest(ARRAY[:'owner', :'app', :'metrics', :'readonly'] || :'apps'::text[]) AS role \gexec
SELECT format('GRANT %I TO %I', :'app', role) FROM unnest(:'apps'::text[]) AS role \gexec
ALTER ROLE :"owner" LOGIN PASSWORD :'owner_password';
ALTER ROLE :"app" NOLOGIN;
ALTER ROLE :"active" LOGIN PASSWORD :'app_password';
SELECT format('ALTER ROLE %I LOGIN CONNECTION LIMIT 8 PASSWORD %L', role, password)
  FROM (VALUES (:'metrics', :'metrics_password'), (:'readonly', :'readonly_password')) AS login (role, password)
 WHERE password <> '' \gexec
GRANT pg_monitor TO :"metrics";
-- A guard against mistakes: the rights are what keeps it from changing anything.
ALTER ROLE :"readonly" SET default_transaction_read_only = on;

SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'owner')
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
ALTER DATABASE :"database" OWNER TO :"owner";
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
-- Temporary tables are where an import collects its rows before it merges them.
GRANT CONNECT, TEMPORARY ON DATABASE :"database" TO :"app";
GRANT CONNECT ON DATABASE :"database" TO :"metrics", :"readonly";
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;

\connect :"database"
SET client_min_messages = 'warning';
ALTER SCHEMA public OWNER TO :"owner";
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO :"app", :"readonly";
