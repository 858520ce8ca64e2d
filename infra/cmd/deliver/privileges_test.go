package main

import (
	"maps"
	"strings"
	"testing"
)

// testPrivileges tries as each role what it must not do, and a little of what it must.
func (b *bench) testPrivileges(t *testing.T) {
	now := b.passwords()
	app := "bookshelf_" + now.App.Role
	passwords := map[string]string{
		app: now.App.Password, "bookshelf_owner": now.Owner, "bookshelf_metrics": now.Metrics, "bookshelf_readonly": now.ReadOnly,
	}
	if out, err := b.psql("postgres", now.Superuser, "postgres", "CREATE DATABASE somebody_elses; REVOKE CONNECT ON DATABASE somebody_elses FROM PUBLIC"); err != nil {
		t.Fatal(out)
	}
	// What none of them may, the owner included.
	everybody := map[string]string{
		"run a program on the server":        "COPY (SELECT 1) TO PROGRAM 'cat'",
		"read a program output":              "CREATE TEMPORARY TABLE o (x text); COPY o FROM PROGRAM 'id'",
		"read a file of the server":          "SELECT pg_read_file('/run/secrets/superuser_password')",
		"read a file by COPY":                "CREATE TEMPORARY TABLE o (x text); COPY o FROM '/run/secrets/superuser_password'",
		"list the server files":              "SELECT pg_ls_dir('/')",
		"import a file as a large object":    "SELECT lo_import('/etc/passwd')",
		"change a setting of the server":     "ROLLBACK; ALTER SYSTEM SET log_statement = 'all'",
		"reload the configuration":           "SELECT pg_reload_conf()",
		"switch triggers off":                "SET session_replication_role = replica",
		"see hashes of passwords":            "SELECT rolpassword FROM pg_authid",
		"become the administrator":           "SET ROLE postgres",
		"make a role":                        "CREATE ROLE intruder",
		"make itself an administrator":       "ALTER ROLE CURRENT_USER SUPERUSER",
		"make a database":                    "ROLLBACK; CREATE DATABASE intruder",
		"read files as tables":               "CREATE EXTENSION file_fdw SCHEMA pg_catalog",
		"reach another server":               "CREATE EXTENSION dblink SCHEMA pg_catalog",
		"end the administrator connections":  "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
		"copy the server files by streaming": "SELECT pg_create_physical_replication_slot('intruder')",
	}
	// What no role but the owner may.
	others := map[string]string{
		"make a table":                 "CREATE TABLE public.intruder (x int)",
		"drop a table":                 "DROP TABLE public.books",
		"change a table":               "ALTER TABLE public.books ADD COLUMN intruder int",
		"make an index":                "CREATE INDEX ON public.books (title)",
		"make a function":              "CREATE FUNCTION public.intruder() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"switch a trigger off":         "ALTER TABLE public.books DISABLE TRIGGER books_record_update",
		"empty the books":              "TRUNCATE public.books",
		"empty the history":            "TRUNCATE public.book_events",
		"write into the history":       "INSERT INTO public.book_events (book_id, action, actor, version, after) VALUES (1, 'create', 'x', 1, '{}')",
		"change the history":           "UPDATE public.book_events SET actor = 'x'",
		"remove history":               "DELETE FROM public.book_events",
		"forge a migration":            "INSERT INTO public.goose_db_version (version_id, is_applied) VALUES (999, true)",
		"remove a token":               "DELETE FROM public.api_tokens",
		"make another token of one":    "UPDATE public.api_tokens SET name = 'x', scopes = '{admin}'",
		"give its rights away":         "GRANT bookshelf_app TO bookshelf_metrics",
		"become the owner":             "SET ROLE bookshelf_owner",
		"make a schema":                "CREATE SCHEMA intruder",
		"run the recording of changes": "SELECT public.record_book_events()",
	}
	// What only those who change books may.
	lookers := map[string]string{
		"add a book":             "INSERT INTO public.books (title, authors) VALUES ('x', '{y}')",
		"change a book":          "UPDATE public.books SET title = 'x'",
		"remove a book":          "DELETE FROM public.books",
		"read hashes of tokens":  "SELECT secret_hash FROM public.api_tokens",
		"read all of the tokens": "SELECT * FROM public.api_tokens",
		"read kept answers":      "SELECT body FROM public.idempotency_keys",
		"make a token":           "INSERT INTO public.api_tokens (id, name, scopes, secret_hash) VALUES ('aaaaaaaaaaaa', 'x', '{admin}', sha256('x'))",
		"become the service":     "SET ROLE bookshelf_app",
	}
	refuse := func(role string, tables ...map[string]string) {
		statements := map[string]string{}
		for _, table := range tables {
			maps.Copy(statements, table)
		}
		for what, said := range b.tryAll(role, passwords[role], statements) {
			if !refusal(said) {
				t.Errorf("%s may %s: %q", role, what, said)
			}
		}
	}
	refuse("bookshelf_owner", everybody)
	refuse(app, everybody, others)
	refuse("bookshelf_readonly", everybody, others, lookers)
	// Monitoring sees the settings and who is connected, and no row of any table.
	refuse("bookshelf_metrics", everybody, others, lookers, map[string]string{
		"read a book": "SELECT title FROM public.books", "read history": "SELECT actor FROM public.book_events", "see tokens": "SELECT name FROM public.api_tokens",
	})
	for role := range passwords {
		for _, database := range []string{"postgres", "template1", "somebody_elses"} {
			if out, err := b.psql(role, passwords[role], database, "SELECT 1"); err == nil || !refusal(out) {
				t.Errorf("%s connects to %s: %s", role, database, out)
			}
		}
	}
	for role, statement := range map[string]string{
		app: "BEGIN; INSERT INTO public.books (title, authors) VALUES ('x', '{y}'); UPDATE public.books SET title = 'z' WHERE title = 'x'; DELETE FROM public.books WHERE title = 'z'; " +
			"CREATE TEMPORARY TABLE staging (x int); SELECT count(*) FROM public.book_events; ROLLBACK",
		"bookshelf_owner":    "BEGIN; ALTER TABLE public.books ADD COLUMN next int; ROLLBACK",
		"bookshelf_metrics":  "SELECT count(*) FROM pg_stat_activity WHERE query IS NOT NULL; SELECT pg_database_size('bookshelf'); SHOW data_directory",
		"bookshelf_readonly": "SELECT count(*) FROM public.books; SELECT count(*) FROM public.book_events; SELECT name, scopes FROM public.api_tokens",
	} {
		if out, err := b.psql(role, passwords[role], "bookshelf", statement); err != nil {
			t.Errorf("%s can't do its own: %s", role, out)
		}
	}
	if out, err := b.psql("bookshelf_readonly", now.ReadOnly, "bookshelf", "SHOW transaction_read_only"); err != nil || out != "on" {
		t.Errorf("transactions of the readonly role: %s", out)
	}
	for _, role := range []string{"bookshelf_app", "bookshelf_" + now.App.Other(), "nobody"} {
		if out, err := b.psql(role, now.App.Password, "bookshelf", "SELECT 1"); err == nil || !strings.Contains(out, "authentication failed") {
			t.Errorf("%s logs in: %s", role, out)
		}
	}
}

// tryAll runs each statement as a role, in a transaction that is rolled back, and returns what was said of each, by its name. A read-only
// transaction is a guard against mistakes, which anybody can lift: the rights must hold without.
func (b *bench) tryAll(role, password string, statements map[string]string) map[string]string {
	b.t.Helper()
	const mark = "-- next: "
	script := "\\set ON_ERROR_STOP off\nSET default_transaction_read_only = off;\n"
	for what, statement := range statements {
		script += "\\echo '" + mark + what + "'\nBEGIN; " + statement + ";\nROLLBACK;\n"
	}
	out, err := b.psql(role, password, "bookshelf", script)
	if err != nil {
		b.t.Fatalf("%s: %v: %s", role, err, out)
	}
	said := map[string]string{}
	for _, part := range strings.Split(out, mark)[1:] {
		what, rest, _ := strings.Cut(part, "\n")
		said[what] = rest
	}
	if len(said) != len(statements) {
		b.t.Fatalf("%s: %d statements were tried, want %d: %s", role, len(said), len(statements), out)
	}
	return said
}

// refusal tells a missing right from a mistake in the statement, which would be refused for another reason.
func refusal(said string) bool {
	for _, sign := range []string{"permission denied", "must be owner", "must be superuser", "Only roles with", "must have"} {
		if strings.Contains(said, sign) {
			return true
		}
	}
	return false
}
