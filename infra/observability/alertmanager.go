package observability

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path"
	"regexp"
	"slices"
	"time"
)

// Notifications say who hears of alerts. What is secret in it is the name of a file in the folder that Alertmanager is given its
// secrets in, never the secret.
type Notifications struct {
	Receivers []Receiver `json:"receivers"`
}

// Receiver is one way of telling somebody: exactly one of Webhook, Email, Chat.
type Receiver struct {
	Name string `json:"name"`
	// Severities are what it hears of: critical, warning, none. None is the dead man's switch, which comes every few minutes.
	Severities []string `json:"severities"`
	Webhook    *Webhook `json:"webhook,omitempty"`
	Email      *Email   `json:"email,omitempty"`
	Chat       *Chat    `json:"chat,omitempty"`
}

// Webhook is sent Alertmanager's JSON. Its address may hold a token, and so is a secret.
type Webhook struct {
	URLFile string `json:"url_file"`
	// TokenFile has a bearer token; "" for none.
	TokenFile string `json:"token_file,omitempty"`
}

// Email is sent over SMTP with STARTTLS.
type Email struct {
	To        string `json:"to"`
	From      string `json:"from"`
	Smarthost string `json:"smarthost"` // host:port
	Username  string `json:"username,omitempty"`
	// PasswordFile has the password of Username.
	PasswordFile string `json:"password_file,omitempty"`
}

// Chat is an incoming webhook as Slack has them, and others after it.
type Chat struct {
	URLFile string `json:"url_file"`
	Channel string `json:"channel,omitempty"`
}

// Severities in the order of their weight.
var severities = []string{"critical", "warning", "none"}

// nameRule is what receivers and secret files can be called.
var nameRule = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

// Check says everything that is wrong with the settings.
func (n Notifications) Check() error {
	var problems []error
	seen := map[string]bool{}
	for i, r := range n.Receivers {
		at := fmt.Sprintf("receivers[%d]", i)
		if !nameRule.MatchString(r.Name) || seen[r.Name] || r.Name == nobody {
			problems = append(problems, fmt.Errorf("%s: name: must be lower-case letters, digits, dots and dashes, not %s, and no other's; is %q", at, nobody, r.Name))
		}
		seen[r.Name] = true
		if len(r.Severities) == 0 {
			problems = append(problems, fmt.Errorf("%s: severities: at least one of %v is needed", at, severities))
		}
		for _, s := range r.Severities {
			if !slices.Contains(severities, s) {
				problems = append(problems, fmt.Errorf("%s: severities: must be of %v, one is %q", at, severities, s))
			}
		}
		problems = append(problems, r.check(at)...)
	}
	return errors.Join(problems...)
}

func (r Receiver) check(at string) (problems []error) {
	file := func(field, name string, needed bool) {
		if (needed || name != "") && !nameRule.MatchString(name) {
			problems = append(problems, fmt.Errorf("%s: %s: must be the name of a secret's file, without a folder; is %q", at, field, name))
		}
	}
	ways := 0
	if w := r.Webhook; w != nil {
		ways++
		file("webhook.url_file", w.URLFile, true)
		file("webhook.token_file", w.TokenFile, false)
	}
	if c := r.Chat; c != nil {
		ways++
		file("chat.url_file", c.URLFile, true)
	}
	if e := r.Email; e != nil {
		ways++
		if _, _, err := net.SplitHostPort(e.Smarthost); err != nil {
			problems = append(problems, fmt.Errorf("%s: email.smarthost: must be host:port, is %q", at, e.Smarthost))
		}
		if e.To == "" || e.From == "" {
			problems = append(problems, fmt.Errorf("%s: email: to and from are needed", at))
		}
		file("email.password_file", e.PasswordFile, e.Username != "")
	}
	if ways != 1 {
		problems = append(problems, fmt.Errorf("%s: exactly one of webhook, email and chat is needed, there are %d", at, ways))
	}
	return problems
}

// nobody is the receiver of what no other hears of. It keeps alerts visible in Alertmanager and sends nothing.
const nobody = "nobody"

// object and list are JSON, which is YAML too: Alertmanager reads either.
type (
	object = map[string]any
	list   = []any
)

// Pace is how often Alertmanager tells.
type Pace struct {
	// Wait is how long alerts of a group are collected before the first notification, Interval how long before one that adds to it,
	// Repeat how long until the same is told again.
	Wait, Interval, Repeat time.Duration
}

// UsualPace is that of an environment that people operate.
var UsualPace = Pace{Wait: 30 * time.Second, Interval: 5 * time.Minute, Repeat: 4 * time.Hour}

// heartbeat is how often the dead man's switch is sent.
const heartbeat = "2m"

// Alertmanager writes the configuration of Alertmanager. secrets is the folder where it finds the files of secrets. Settings that
// Check complains of are an error.
func Alertmanager(n Notifications, pace Pace, secrets string) ([]byte, error) {
	if err := n.Check(); err != nil {
		return nil, err
	}
	receivers := list{object{"name": nobody}}
	var routes list
	for _, r := range n.Receivers {
		receivers = append(receivers, r.render(secrets))
		for _, severity := range r.Severities {
			route := object{"receiver": r.Name, "matchers": list{fmt.Sprintf("severity = %q", severity)}, "continue": true}
			if severity == "none" {
				route["group_wait"], route["group_interval"], route["repeat_interval"] = "0s", heartbeat, heartbeat
			}
			routes = append(routes, route)
		}
	}
	root := object{
		"receiver": nobody, "group_by": list{"alertname", "environment"},
		"group_wait": pace.Wait.String(), "group_interval": pace.Interval.String(), "repeat_interval": pace.Repeat.String(),
	}
	if len(routes) > 0 {
		root["routes"] = routes
	}
	text, err := json.MarshalIndent(object{"route": root, "receivers": receivers, "inhibit_rules": inhibitions()}, "", "  ")
	return append(text, '\n'), err
}

func (r Receiver) render(secrets string) object {
	out := object{"name": r.Name}
	switch {
	case r.Webhook != nil:
		config := object{"url_file": path.Join(secrets, r.Webhook.URLFile), "send_resolved": true}
		if r.Webhook.TokenFile != "" {
			config["http_config"] = object{"authorization": object{"credentials_file": path.Join(secrets, r.Webhook.TokenFile)}}
		}
		out["webhook_configs"] = list{config}
	case r.Chat != nil:
		config := object{
			"api_url_file": path.Join(secrets, r.Chat.URLFile), "send_resolved": true,
			"title": `{{ .Status | toUpper }} {{ .CommonLabels.alertname }}`,
			"text":  `{{ range .Alerts }}{{ .Annotations.summary }} — {{ .Annotations.runbook }}{{ "\n" }}{{ end }}`,
		}
		if r.Chat.Channel != "" {
			config["channel"] = r.Chat.Channel
		}
		out["slack_configs"] = list{config}
	case r.Email != nil:
		config := object{"to": r.Email.To, "from": r.Email.From, "smarthost": r.Email.Smarthost, "require_tls": true, "send_resolved": true}
		if r.Email.Username != "" {
			config["auth_username"], config["auth_password_file"] = r.Email.Username, path.Join(secrets, r.Email.PasswordFile)
		}
		out["email_configs"] = list{config}
	}
	return out
}

// inhibition: while cause fires, its consequences are not told of. With equal, only those that have these labels in common with it.
type inhibition struct {
	cause        string
	consequences string // a pattern
	equal        []string
}

// causes are what is behind what: one notification says what is broken, instead of ten that say what follows. There is an
// Alertmanager for each environment, so all are of the same.
var causes = []inhibition{
	{"DatabaseDown", "InstanceDown|NoInstanceReady|ErrorRatio|LatencyHigh|Saturation|ProbeFailing|BudgetBurning.*|DatabaseConnections|LongTransaction|ArchiveFailing", nil},
	{"NoInstanceReady", "InstanceDown|ErrorRatio|LatencyHigh|Saturation|ProbeFailing|BudgetBurning.*", nil},
	{"EdgeDown", "NoInstanceReady|ProbeFailing|EdgeStateErrors", nil},
	{"DiskFull", "DiskFilling", []string{"instance", "mountpoint"}},
	{"BudgetBurningFast", "BudgetBurningSlowly", []string{"class", "objective"}},
	{"CertificateExpiring", "CertificateFailing", []string{"host"}},
	{"BackupRepositoryDown", "BackupFailed|BackupStale|ArchiveFailing|DrillFailed|DrillOverdue", nil},
	{"DrillFailed", "DrillOverdue", nil},
}

func inhibitions() list {
	var rules list
	for _, c := range causes {
		rule := object{
			"source_matchers": list{fmt.Sprintf("alertname = %q", c.cause)},
			"target_matchers": list{fmt.Sprintf("alertname =~ %q", c.consequences)},
		}
		if len(c.equal) > 0 {
			rule["equal"] = c.equal
		}
		rules = append(rules, rule)
	}
	return rules
}
