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

// DatabaseServer is how PostgreSQL is started for tests: it keeps nothing that it would be slow to keep.
func DatabaseServer() []string {
	return []string{
		"postgres", "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=400",
	}
}

// MeasuredServer is how it is started where services are compared: besides, it does no housekeeping of its own, which would meet one of
// them and not the other.
func MeasuredServer() []string {
	return append(DatabaseServer(), "-c", "autovacuum=off", "-c", "max_wal_size=256MB")
}

// MakeToken are the arguments of the service by which it prints a token for reading and writing.
func MakeToken() []string {
	return []string{"token", "create", "--scopes", "books:read,books:write", "perf"}
}
