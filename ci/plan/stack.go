package plan

// The development and test stack, as docs/contract.md describes what a service may ask for.
const (
	DatabaseHost = "postgres"
	DatabaseName = "bookshelf"
	OwnerRole    = "bookshelf_owner" // migrates
	ServingRole  = "bookshelf_app_a" // serves; may not change the schema
	PasswordFile = "/run/secrets/db_password"
	AppUser      = "65532:65532"
	AppPort      = 8080
	AdminPort    = 9090
)

// RolesSQL is a script for psql that makes the roles and the database, or leaves them as they are. Its variable "password"
// becomes the password of both logins.
const RolesSQL = `\set ON_ERROR_STOP on
SELECT 'CREATE ROLE bookshelf_owner LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bookshelf_owner') \gexec
SELECT 'CREATE ROLE bookshelf_app' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bookshelf_app') \gexec
SELECT 'CREATE ROLE bookshelf_app_a LOGIN IN ROLE bookshelf_app' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bookshelf_app_a') \gexec
ALTER ROLE bookshelf_owner PASSWORD :'password';
ALTER ROLE bookshelf_app_a PASSWORD :'password';
SELECT 'CREATE DATABASE bookshelf OWNER bookshelf_owner' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'bookshelf') \gexec
`
