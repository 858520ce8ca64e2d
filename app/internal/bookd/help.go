package bookd

const serveHelp = `Usage: bookd serve

Serves the API on HTTP_ADDR, and metrics and profiles on ADMIN_ADDR, until SIGTERM or SIGINT. Then /readyz fails, the API
goes on for SHUTDOWN_GRACE, requests in flight are finished, and the process ends, all within SHUTDOWN_TIMEOUT. A second
signal ends it at once. The schema must be in place: see bookd migrate.

Needs DB_HOST, DB_NAME, and DB_USER or DB_LOGIN_FILE.

Example:
  DB_HOST=localhost DB_NAME=bookshelf DB_USER=bookshelf_app DB_PASSWORD_FILE=/run/secrets/db_password bookd serve`

const migrateHelp = `Usage: bookd migrate

Brings the database schema to what this version needs. May be repeated, and may run twice at once. DB_USER must own the
database; the role DATABASE_app must exist, and is granted the use of the tables.

Needs DB_HOST, DB_NAME, and DB_USER or DB_LOGIN_FILE.

Example:
  DB_HOST=localhost DB_NAME=bookshelf DB_USER=bookshelf_owner DB_PASSWORD_FILE=/run/secrets/owner_password bookd migrate`

const importHelp = `Usage: bookd import [FLAGS] FILE|-

Imports books from CSV with a header or from JSON lines. bookd import -h lists the flags.

Needs DB_HOST, DB_NAME, and DB_USER or DB_LOGIN_FILE.

Example:
  DB_HOST=localhost DB_NAME=bookshelf DB_USER=bookshelf_app bookd import books.csv`

const healthcheckHelp = `Usage: bookd healthcheck [--verbose]

Asks the process that serves on HTTP_ADDR whether it is ready. Exits with 0 when it is, with 1 when it is not, and says why.
With --verbose it asks on ADMIN_ADDR, and prints how each dependency does: whether it is well, how fast it answered, and how
long ago it last was well.

Example:
  HTTP_ADDR=:8080 bookd healthcheck
  ADMIN_ADDR=:9090 bookd healthcheck --verbose`

const versionHelp = `Usage: bookd version

Prints the version and the revision that this program was built from.

Example:
  bookd version`

const helpHelp = `Usage: bookd help [COMMAND]

Prints the list of commands, or the help of one.

Example:
  bookd help serve`
