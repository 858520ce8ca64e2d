-- Roles and rights of one service's database. Safe to run at any time: it creates what is missing and sets the rest to what it
-- should be, passwords included.
--
-- Variables: database (its name). Files: /run/secrets/{owner,app}_password.
--
--   <database>_owner   owns the schema, runs migrations
--   <database>_app     group: what migrations grant to it is all that the serving roles can do
--   <database>_app_a   login role of the serving processes, a member of that group
\set ON_ERROR_STOP on
\set QUIET on
\set owner_password `cat /run/secrets/owner_password`
\set app_password `cat /run/secrets/app_password`

-- No password may reach the server's log, not even when a statement fails.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET password_encryption = 'scram-sha-256';
SET client_min_messages = 'warning';

SELECT :'database' || '_owner' AS owner, :'database' || '_app' AS app, :'database' || '_app_a' AS app_a \gset

SELECT format('CREATE ROLE %I', role) FROM unnest(ARRAY[:'owner', :'app', :'app_a']) AS role
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec

ALTER ROLE :"owner" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'owner_password';
ALTER ROLE :"app" NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE :"app_a" LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'app_password';
GRANT :"app" TO :"app_a";

SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'owner')
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
ALTER DATABASE :"database" OWNER TO :"owner";
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
-- Temporary tables are where an import collects its rows before it merges them.
GRANT CONNECT, TEMPORARY ON DATABASE :"database" TO :"app";
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;

\connect :"database"
SET client_min_messages = 'warning';
ALTER SCHEMA public OWNER TO :"owner";
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO :"app";
