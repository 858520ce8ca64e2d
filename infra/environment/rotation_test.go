package environment

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

func TestAnAgeIsReadOrRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"30d": 30 * day, "12h": 12 * time.Hour, "off": 0, "3650d": 3650 * day, "1h": time.Hour} {
		if got, err := ParseAge(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "30", "d", "-1d", "1.5d", "59m", "3651d", "99999999999999999999d", "off ", "never"} {
		if got, err := ParseAge(text); err == nil || !strings.Contains(err.Error(), "want an age") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestTheAgesOfAStackAreReadOrRefused(t *testing.T) {
	t.Parallel()
	c, err := Load("dev", from(map[string]string{"rotation": `{"database": "30d"}`}))
	if err != nil || c.Rotation.Database != 30*day {
		t.Errorf("%+v, %v", c.Rotation, err)
	}
	for value, want := range map[string]string{
		`{"database": 30}`: "bookshelf:rotation: want a mapping", `{"databse": "30d"}`: `unknown field "databse"`, `{"database": "soon"}`: `bookshelf:rotation: database: "soon": want an age`,
	} {
		if _, err := Load("dev", from(map[string]string{"rotation": value})); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", value, err, want)
		}
	}
}

// variables are the environment of a container.
func variables(inputs resource.PropertyMap) map[string]string {
	found := map[string]string{}
	for _, variable := range inputs["envs"].ArrayValue() {
		name, value, _ := strings.Cut(variable.StringValue(), "=")
		if strings.HasPrefix(name, "DB_USER") || strings.HasPrefix(name, "DB_PASSWORD") || strings.HasPrefix(name, "DB_LOGIN") {
			found[name] = value
		}
	}
	return found
}

func TestAServiceIsGivenTheLoginThatItCanTake(t *testing.T) {
	t.Parallel()
	config, err := Load("dev", from(nil))
	if err != nil {
		t.Fatal(err)
	}
	slots := config.FirstSlots(someImage)
	fixed := config.Fill(someImage, 1)
	fixed.LoginFile = false // another service, or this one as it was filled before there was such a file
	r := &recorder{}
	declareSlots(t, slots.With(Green, fixed), nil, r)
	password := map[string]string{"DB_USER": "bookshelf_app_a", "DB_PASSWORD_FILE": "/run/secrets/db_password"}
	owner := map[string]string{"DB_USER": "bookshelf_owner", "DB_PASSWORD_FILE": "/run/secrets/db_password"}
	for name, want := range map[string]map[string]string{
		"app-blue-1": {"DB_LOGIN_FILE": "/run/secrets/db_login"}, "app-green-1": password, "migration-blue": owner, "migration-green": owner,
	} {
		if diff := cmp.Diff(want, variables(r.containers()[name])); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
