package database

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// loginCheck is how often the files of the login are looked at: so long connections of a former login may be idle.
const loginCheck = time.Second

// login is a user and its password.
type login struct{ user, password string }

// CheckLogin returns why a file is not one that Options.LoginFile may name.
func CheckLogin(path string) error {
	_, err := readLogin(path)
	return err
}

// readLogin reads a file of two lines, the user and its password. One file, because it is replaced at once: of two, a reader
// between the first and the second would put together what does not belong together.
func readLogin(path string) (login, error) {
	text, err := readSecret(path)
	if err != nil {
		return login{}, fmt.Errorf("read the database login: %w", err)
	}
	user, password, two := strings.Cut(text, "\n")
	user = strings.TrimSuffix(user, "\r")
	if !two || user == "" || password == "" || strings.ContainsAny(password, "\r\n") {
		return login{}, fmt.Errorf("read the database login: %s must have two lines, the user and its password", path)
	}
	return login{user: user, password: password}, nil
}

// readSecret reads a file that must not be empty. Line ends at its end do not count.
func readSecret(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(content), "\r\n")
	if text == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return text, nil
}

// inFiles reports whether the login may change while the program runs.
func (o Options) inFiles() bool { return o.LoginFile != "" || o.PasswordFile != "" }

// login is the login at this moment.
func (o Options) login() (login, error) {
	switch {
	case o.LoginFile != "":
		return readLogin(o.LoginFile)
	case o.PasswordFile != "":
		password, err := readSecret(o.PasswordFile)
		if err != nil {
			return login{}, fmt.Errorf("read the database password: %w", err)
		}
		return login{user: o.User, password: password}, nil
	default:
		return login{user: o.User, password: o.Password}, nil
	}
}

// beforeConnect gives a new connection the login of its moment.
func (o Options) beforeConnect(_ context.Context, conn *pgx.ConnConfig) error {
	now, err := o.login()
	if err != nil {
		return err
	}
	conn.User, conn.Password = now.user, now.password
	return nil
}

// followLogin ends the connections of a former login when the files name another than last: those that nobody uses at once, the
// others when their statement or transaction is done. It returns when done is closed. A file that cannot be read is no other
// login: new connections fail until it is back, and the old ones go on.
func (o Options) followLogin(pool *pgxpool.Pool, last login, done <-chan struct{}) {
	known := last != login{}
	ticker := time.NewTicker(loginCheck)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		now, err := o.login()
		if err != nil || known && now == last {
			continue
		}
		// Also those that are being opened: they may have read the former login.
		pool.Reset()
		if known && o.ObserveLogin != nil {
			o.ObserveLogin(now.user)
		}
		last, known = now, true
	}
}

// errTwoLogins says that it is not clear who is to log in.
var errTwoLogins = errors.New("the database's login is in a file, and its user or password is set besides")
