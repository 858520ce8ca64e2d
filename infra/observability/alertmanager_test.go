package observability

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden file anew")

// everybody hears of everything, in every way there is.
var everybody = Notifications{Receivers: []Receiver{
	{Name: "on-call", Severities: []string{"critical"}, Webhook: &Webhook{URLFile: "on-call-url", TokenFile: "on-call-token"}},
	{Name: "team", Severities: []string{"critical", "warning"}, Chat: &Chat{URLFile: "chat-url", Channel: "#bookshelf"}},
	{Name: "archive", Severities: []string{"warning"}, Email: &Email{
		To: "alerts@example.org", From: "bookshelf@example.org", Smarthost: "mail.example.org:587", Username: "bookshelf", PasswordFile: "mail-password",
	}},
	{Name: "dead-man", Severities: []string{"none"}, Webhook: &Webhook{URLFile: "dead-man-url"}},
}}

// The module in generate/ reads this file as Alertmanager does, and sends alerts along its routes.
func TestTheConfigurationIsTheGoldenOne(t *testing.T) {
	t.Parallel()
	got, err := Alertmanager(everybody, UsualPace, "/run/secrets")
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "alertmanager.json")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("-want +got; -update writes it anew\n%s", diff)
	}
}

func TestWithoutReceiversNothingIsSent(t *testing.T) {
	t.Parallel()
	got, err := Alertmanager(Notifications{}, UsualPace, "/run/secrets")
	if err != nil || strings.Contains(string(got), "_configs") || strings.Contains(string(got), `"routes"`) {
		t.Errorf("%v:\n%s", err, got)
	}
}

func TestSettingsThatCannotWorkAreRefusedAllAtOnce(t *testing.T) {
	t.Parallel()
	hook := &Webhook{URLFile: "url"}
	for name, c := range map[string]struct {
		receivers []Receiver
		want      []string
	}{
		"no name and no severity":        {[]Receiver{{Webhook: hook}}, []string{"receivers[0]: name:", "receivers[0]: severities: at least one"}},
		"a severity that there is not":   {[]Receiver{{Name: "a", Severities: []string{"fatal"}, Webhook: hook}}, []string{`one is "fatal"`}},
		"two of one name":                {[]Receiver{{Name: "a", Severities: []string{"none"}, Webhook: hook}, {Name: "a", Severities: []string{"none"}, Webhook: hook}}, []string{"receivers[1]: name:"}},
		"the name that is taken":         {[]Receiver{{Name: "nobody", Severities: []string{"none"}, Webhook: hook}}, []string{"not nobody"}},
		"no way":                         {[]Receiver{{Name: "a", Severities: []string{"none"}}}, []string{"there are 0"}},
		"two ways":                       {[]Receiver{{Name: "a", Severities: []string{"none"}, Webhook: hook, Chat: &Chat{URLFile: "url"}}}, []string{"there are 2"}},
		"an address in the file's place": {[]Receiver{{Name: "a", Severities: []string{"none"}, Webhook: &Webhook{URLFile: "https://example.org/TOKEN"}}}, []string{"webhook.url_file: must be the name of a secret's file"}},
		"a file elsewhere":               {[]Receiver{{Name: "a", Severities: []string{"none"}, Chat: &Chat{URLFile: "../url"}}}, []string{"chat.url_file"}},
		"mail from nobody":               {[]Receiver{{Name: "a", Severities: []string{"none"}, Email: &Email{Smarthost: "mail", Username: "x"}}}, []string{"must be host:port", "to and from are needed", "email.password_file"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Alertmanager(Notifications{Receivers: c.receivers}, UsualPace, "/run/secrets")
			if err == nil || got != nil {
				t.Fatalf("taken: %s", got)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %q", err, want)
				}
			}
		})
	}
}

func TestTheRulesAreThere(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"alerts.yml", "objectives.yml"} {
		if text, err := fs.ReadFile(Rules(), name); err != nil || len(text) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
	}
}
