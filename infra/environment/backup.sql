-- The role that takes backups, and what it may: the function calls of a backup and of a restore point, and reading. Run after roles.sql,
-- connected to the service's database, and as safe to repeat.
--
-- Variables: database (its name). Files: /run/secrets/backup_password.
--
--   <database>_backup   reads everything, so that the content of a backup can be compared with it, and keeps writers out of a table
--                       for a moment (MAINTAIN); changes nothing
\set ON_ERROR_STOP on
\set backup_password `cat /run/secrets/backup_password`

SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET password_encryption = 'scram-sha-256';
SET client_min_messages = 'warning';

SELECT :'database' || '_backup' AS backup \gset
SELECT format('CREATE ROLE %I', :'backup') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'backup') \gexec

ALTER ROLE :"backup" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 8 PASSWORD :'backup_password';
GRANT pg_read_all_data, pg_read_all_settings, pg_maintain TO :"backup";
GRANT CONNECT ON DATABASE :"database" TO :"backup";
GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean), pg_switch_wal(), pg_create_restore_point(text) TO :"backup";
