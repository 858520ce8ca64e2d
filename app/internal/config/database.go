package config

import (
	"os"
	"strings"

	"bookshelf/app/internal/postgres/database"
)

// login reads who logs in to the database: DB_LOGIN_FILE alone, or DB_USER with or without a password.
func (b *binder) login(c *Database) {
	const name = "DB_LOGIN_FILE"
	path, set := b.lookup(name)
	if !set {
		b.required(&c.User, "DB_USER", 63)
		b.secret(&c.Password, &c.PasswordFile, "DB_PASSWORD")
		b.remember(Variable{Name: name})
		return
	}
	for _, other := range []string{"DB_USER", "DB_PASSWORD", "DB_PASSWORD_FILE"} {
		if _, set := b.lookup(other); set {
			b.problem("%s: must not be set together with %s", other, name)
		}
		b.remember(Variable{Name: other, Required: other == "DB_USER"})
	}
	if path == "" {
		b.problem("%s: is set but empty", name)
	} else if err := database.CheckLogin(path); err != nil {
		b.problem("%s: %w", name, err)
	}
	c.LoginFile = path
	b.remember(Variable{Name: name, Value: path})
}

// rootCert reads DB_SSLROOTCERT. Where no certificate is looked at, whoever sets it believes in a check that is not made.
func (b *binder) rootCert(c *Database) {
	const name = "DB_SSLROOTCERT"
	path, ok := b.get(name, "")
	switch {
	case !ok || path == "":
	case !strings.HasPrefix(c.SSLMode, "verify-"):
		b.problem("%s: has no effect while DB_SSLMODE is %q; set that to verify-full", name, c.SSLMode)
	default:
		if _, err := os.ReadFile(path); err != nil {
			b.problem("%s: %w", name, err)
		}
		c.SSLRootCert = path
	}
	b.remember(Variable{Name: name, Value: c.SSLRootCert})
}
