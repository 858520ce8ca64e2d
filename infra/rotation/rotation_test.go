package rotation

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"bookshelf/infra/credentials"
	"bookshelf/infra/runtime/postgres"
)

// world is a server, the consumers of its passwords, and the service's connections.
type world struct {
	t   *testing.T
	dir string
	// verifiers are what the server keeps, by role; who has none cannot log in.
	verifiers map[string]string
	// handed is what the consumers have.
	handed credentials.Set
	// lingering is how many more looks at the connections of a former login find one.
	lingering int
	log       strings.Builder
	// compared remembers what accepts has found, which takes its time.
	compared map[[2]string]bool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir() + "/secrets", verifiers: map[string]string{}, compared: map[[2]string]bool{}}
	set, err := credentials.Ensure(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	w.handed = set
	for role, password := range map[string]string{
		"postgres": set.Superuser, "shop_owner": set.Owner, "shop_metrics": set.Metrics, "shop_readonly": set.ReadOnly, "shop_app_a": set.App.Password,
	} {
		w.set(role, password)
	}
	return w
}

func (w *world) set(role, password string) {
	w.t.Helper()
	known, err := verifier(password)
	if err != nil {
		w.t.Fatal(err)
	}
	w.verifiers[role] = known
}

// accepts compares as the server does.
func (w *world) accepts(role, password string) bool {
	parts := regexp.MustCompile(`^SCRAM-SHA-256\$(4096):([^$]+)\$.+$`).FindStringSubmatch(w.verifiers[role])
	if parts == nil {
		return false
	}
	pair := [2]string{w.verifiers[role], password}
	if same, known := w.compared[pair]; known {
		return same
	}
	salt, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		w.t.Fatal(err)
	}
	again, err := verifierOf(password, salt, scramIterations)
	if err != nil {
		w.t.Fatal(err)
	}
	w.compared[pair] = again == w.verifiers[role]
	return w.compared[pair]
}

func (w *world) Login(_ context.Context, role, password string) (bool, error) {
	return w.accepts(role, password), nil
}

var alteration = regexp.MustCompile(`ALTER ROLE "(\w+)" (NO)?LOGIN PASSWORD '?([^';]+)'?;`)

func (w *world) Query(_ context.Context, statement string) ([]string, error) {
	if !w.accepts("postgres", w.handed.Superuser) {
		return nil, fmt.Errorf("%w: postgres", postgres.ErrRefused)
	}
	w.log.WriteString(statement)
	for _, change := range alteration.FindAllStringSubmatch(statement, -1) {
		if change[2] == "NO" {
			delete(w.verifiers, change[1])
		} else {
			w.verifiers[change[1]] = change[3]
		}
	}
	asked := regexp.MustCompile(`(?:rolname|usename) = '(\w+)'`).FindStringSubmatch(statement)
	switch {
	case strings.Contains(statement, "pg_terminate_backend"):
		w.lingering = 0
	case strings.Contains(statement, "pg_stat_activity"):
		if w.lingering > 0 {
			w.lingering--
			return []string{"bookd-serve@10.0.0.2"}, nil
		}
	case asked != nil && w.verifiers[asked[1]] != "":
		return []string{asked[1]}, nil
	}
	return nil, nil
}

func (w *world) HandOver(_ context.Context, set credentials.Set) error {
	w.handed = set
	return nil
}

func (w *world) rotation() Rotation {
	return Rotation{
		Dir: w.dir, Database: "shop", Env: w, Wait: time.Minute,
		Note: func(format string, args ...any) { fmt.Fprintf(&w.log, format+"\n", args...) },
		step: func(name string) error { w.wantServing(name); return nil },
	}
}

// wantServing asserts what has to hold at every moment: whoever connects now, or is started now, can log in.
func (w *world) wantServing(when string) {
	w.t.Helper()
	if !w.accepts("shop_"+w.handed.App.Role, w.handed.App.Password) {
		w.t.Errorf("%s: the service holds a login that is refused", when)
	}
}

// wantDone asserts that files, consumers and server agree, and that one login is left.
func (w *world) wantDone(when, role string) {
	w.t.Helper()
	set, err := credentials.Load(w.dir)
	if err != nil {
		w.t.Fatalf("%s: %v", when, err)
	}
	if set != w.handed {
		w.t.Errorf("%s: the consumers have other passwords than the files", when)
	}
	for name, password := range map[string]string{
		"postgres": set.Superuser, "shop_owner": set.Owner, "shop_metrics": set.Metrics, "shop_readonly": set.ReadOnly, "shop_" + set.App.Role: set.App.Password,
	} {
		if !w.accepts(name, password) {
			w.t.Errorf("%s: %s cannot log in", when, name)
		}
	}
	if set.App.Role != role || w.verifiers["shop_"+set.App.Other()] != "" {
		w.t.Errorf("%s: %s serves, want %s, alone", when, set.App.Role, role)
	}
	if pending, err := Unfinished(w.dir); err != nil || len(pending) != 0 {
		w.t.Errorf("%s: %v is still staged (%v)", when, pending, err)
	}
}

var errKilled = errors.New("killed")

// killAt lets a rotation end after its nth step and reports the step's name, "" where it has fewer.
func (w *world) killAt(n int) (step string) {
	w.t.Helper()
	r := w.rotation()
	r.step = func(name string) error {
		w.wantServing(name)
		if n--; n < 0 {
			step = name
			return errKilled
		}
		return nil
	}
	if _, err := r.Run(w.t.Context()); err != nil && !errors.Is(err, errKilled) {
		w.t.Fatal(err)
	}
	return step
}

func TestARotationChangesEveryPasswordOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.handed
	for _, role := range []string{credentials.RoleB, credentials.RoleA, credentials.RoleB} {
		w.lingering = 2
		result, err := w.rotation().Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.wantDone("rotated", role)
		if result.Active != "shop_"+role || !result.OldRefused || result.Completed || len(result.Rotated) != len(order) {
			t.Errorf("%+v", result)
		}
	}
	for role, old := range map[string]string{
		"postgres": before.Superuser, "shop_owner": before.Owner, "shop_metrics": before.Metrics, "shop_readonly": before.ReadOnly, "shop_app_a": before.App.Password,
	} {
		if w.accepts(role, old) {
			t.Errorf("%s still has its old password", role)
		}
	}
	for _, secret := range []string{w.handed.Superuser, w.handed.Owner, w.handed.App.Password, before.App.Password} {
		if strings.Contains(w.log.String(), secret) {
			t.Error("a password reached the server or the log in clear text")
		}
	}
}

// steps are how many a rotation has: staging and replacing each secret, and three on the server and with the consumers.
var steps = 2*len(order) + 3

func TestARotationThatIsKilledAfterAnyStepConverges(t *testing.T) {
	t.Parallel()
	for n := range steps {
		w := newWorld(t)
		step := w.killAt(n)
		result, err := w.rotation().Run(t.Context())
		if err != nil {
			t.Fatalf("killed after %q: %v", step, err)
		}
		role := credentials.RoleB
		if step == "taken away" { // it was complete: this is another one
			role = credentials.RoleA
		}
		w.wantDone(fmt.Sprintf("killed after %q", step), role)
		if result.Completed != (role == credentials.RoleB) {
			t.Errorf("killed after %q: it has completed another: %t", step, result.Completed)
		}
	}
	if step := newWorld(t).killAt(steps); step != "" {
		t.Errorf("there is one more step, %q", step)
	}
}

// Whatever cut rotations short, and whatever an up made of it in between: the next one brings all together.
func TestARotationThatIsKilledTwiceConverges(t *testing.T) {
	t.Parallel()
	for first := range steps {
		for second := first % 3; second < steps; second += 3 {
			w := newWorld(t)
			what := fmt.Sprintf("killed after %q and after %q", w.killAt(first), w.killAt(second))
			if _, err := w.rotation().Settle(t.Context()); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			settled, err := credentials.Load(w.dir)
			if err != nil || settled != w.handed {
				t.Errorf("%s: settled, and the consumers have other passwords than the files (%v)", what, err)
			}
			if _, err := w.rotation().Run(t.Context()); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			set, err := credentials.Load(w.dir)
			if err != nil {
				t.Fatal(err)
			}
			w.wantDone(what, set.App.Role)
		}
	}
}

func TestALoginThatIsRefusedIsReportedAndNothingIsChanged(t *testing.T) {
	t.Parallel()
	for role, file := range map[string]string{"shop_app_a": credentials.AppFile, "postgres": credentials.SuperuserFile} {
		w := newWorld(t)
		w.set(role, "somebody was here")
		before := w.handed
		_, err := w.rotation().Run(t.Context())
		locked, ok := errors.AsType[*LockedOutError](err)
		if !ok || locked.Role != role || locked.File != file {
			t.Errorf("%s: %v", role, err)
		}
		if after, err := credentials.Load(w.dir); err != nil || after != before || w.handed != before {
			t.Errorf("%s: something was changed (%v)", role, err)
		}
	}
}

func TestALockoutThatIsAcceptedIsRotatedAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set("shop_app_a", "somebody was here")
	r := w.rotation()
	r.AcceptLockout = true
	r.step = nil // until it is over, the service does hold a login that is refused
	if _, err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.wantDone("accepted", credentials.RoleB)
}

func TestConnectionsThatStayKeepTheFormerLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.lingering = 1 << 30
	r := w.rotation()
	r.Wait = 0
	_, err := r.Run(t.Context())
	still, ok := errors.AsType[*StillConnectedError](err)
	if !ok || still.Role != "shop_app_a" || !strings.Contains(err.Error(), "bookd-serve@10.0.0.2") {
		t.Fatalf("%v", err)
	}
	if w.verifiers["shop_app_a"] == "" || w.handed.App.Role != credentials.RoleB {
		t.Error("the login in use was taken away, or the other one not handed over")
	}
	if code, ended := w.rotation().Settle(t.Context()); code || ended != nil {
		t.Errorf("there is nothing to settle: %t, %v", code, ended)
	}
	r.EndConnections = true
	result, err := r.Run(t.Context())
	if err != nil || !result.Completed || result.OldRefused {
		t.Errorf("%+v, %v", result, err)
	}
	w.wantDone("with the connections ended", credentials.RoleB)
}

// The example of RFC 7677, section 3, in the form in which PostgreSQL keeps it.
func TestAVerifierIsWhatPostgreSQLKeeps(t *testing.T) {
	t.Parallel()
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	got, err := verifierOf("pencil", salt, 4096)
	const want = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	if err != nil || got != want {
		t.Errorf("%v: %s, want %s", err, got, want)
	}
}
