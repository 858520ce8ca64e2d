package environment

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// recorder stands in for the Pulumi engine: it notes what the program registers and answers as the provider would.
type recorder struct {
	lock      sync.Mutex
	resources []pulumi.MockResourceArgs
	// exitCodes are what tasks end with, by container name; 0 where there is none.
	exitCodes map[string]float64
}

func (r *recorder) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.resources = append(r.resources, args)
	outputs := args.Inputs.Copy()
	if args.TypeToken == "docker:index/container:Container" {
		outputs["exitCode"] = resource.NewNumberProperty(r.exitCodes[args.Name])
		outputs["containerLogs"] = resource.NewStringProperty("the end of the log")
	}
	return args.Name + "-id", outputs, nil
}

func (r *recorder) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return nil, fmt.Errorf("the program calls no function")
}

func (r *recorder) containers() map[string]resource.PropertyMap {
	found := map[string]resource.PropertyMap{}
	for _, args := range r.resources {
		if args.TypeToken == "docker:index/container:Container" {
			found[args.Name] = args.Inputs
		}
	}
	return found
}

func declare(t *testing.T, stack string, settings map[string]string, r *recorder) error {
	t.Helper()
	return declareIn(t, t.TempDir(), stack, settings, r)
}

func declareIn(t *testing.T, state, stack string, settings map[string]string, r *recorder) error {
	t.Helper()
	config := map[string]string{Namespace + ":edgeImage": "bookshelf-edge:test", Namespace + ":databaseImage": "bookshelf-postgres:test"}
	for key, value := range settings {
		config[Namespace+":"+key] = value
	}
	return pulumi.RunErr(Program(state, "."), pulumi.WithMocks(project, stack, r), func(info *pulumi.RunInfo) { info.Config = config })
}

func deployed(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{}
	if err := declare(t, "dev", map[string]string{"image": someImage}, r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheProgramDeclaresExactlyThese(t *testing.T) {
	t.Parallel()
	var got []string
	for _, args := range deployed(t).resources {
		got = append(got, args.TypeToken+" "+args.Name)
	}
	slices.Sort(got)
	want := []string{
		"bookshelf:environment:App app-blue",
		"bookshelf:environment:Backup backup",
		"bookshelf:environment:Database database",
		"bookshelf:environment:Edge edge",
		"bookshelf:environment:Network network",
		"bookshelf:environment:Secrets secrets",
		"docker:index/container:Container app-blue-1",
		"docker:index/container:Container backup",
		"docker:index/container:Container edge",
		"docker:index/container:Container migration-blue",
		"docker:index/container:Container postgres",
		"docker:index/container:Container roles",
		"docker:index/container:Container secrets-distribution",
		"docker:index/network:Network backend",
		"docker:index/network:Network frontend",
		"docker:index/network:Network public",
		"docker:index/volume:Volume edge-data",
		"docker:index/volume:Volume postgres-backups",
		"docker:index/volume:Volume postgres-data",
		"docker:index/volume:Volume postgres-socket",
		"docker:index/volume:Volume secrets-app",
		"docker:index/volume:Volume secrets-backup",
		"docker:index/volume:Volume secrets-database",
		"docker:index/volume:Volume secrets-edge",
		"docker:index/volume:Volume secrets-migration",
		"pulumi:pulumi:Stack bookshelf-dev",
	}
	got = slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, "pulumi:pulumi:Stack") })
	want = slices.DeleteFunc(want, func(s string) bool { return strings.HasPrefix(s, "pulumi:pulumi:Stack") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryContainerIsHardened(t *testing.T) {
	t.Parallel()
	containers := deployed(t).containers()
	for rule, holds := range map[string]func(string, resource.PropertyMap) bool{
		"drops all capabilities": func(_ string, in resource.PropertyMap) bool {
			return in["capabilities"].ObjectValue()["drops"].ArrayValue()[0].StringValue() == "ALL"
		},
		"adds none, but for giving files away": func(name string, in resource.PropertyMap) bool {
			adds := in["capabilities"].ObjectValue()["adds"]
			if name == "secrets-distribution" {
				return len(adds.ArrayValue()) == 1 && adds.ArrayValue()[0].StringValue() == "CHOWN"
			}
			return !adds.HasValue() || len(adds.ArrayValue()) == 0
		},
		"gains no privileges": func(_ string, in resource.PropertyMap) bool {
			return in["securityOpts"].ArrayValue()[0].StringValue() == "no-new-privileges:true" && !in["privileged"].BoolValue()
		},
		"has a read-only root, or no network": func(_ string, in resource.PropertyMap) bool {
			return in["readOnly"].BoolValue() || in["networkMode"].HasValue() && in["networkMode"].StringValue() == "none"
		},
		"is not root, or has no network": func(_ string, in resource.PropertyMap) bool {
			return !strings.HasPrefix(in["user"].StringValue(), "0:") || in["networkMode"].HasValue() && in["networkMode"].StringValue() == "none"
		},
		"is limited in memory, without swap": func(_ string, in resource.PropertyMap) bool {
			return in["memory"].NumberValue() >= 32 && in["memory"].NumberValue() == in["memorySwap"].NumberValue()
		},
		"is limited in processors": func(_ string, in resource.PropertyMap) bool { return in["cpus"].StringValue() != "" },
		"keeps bounded logs": func(_ string, in resource.PropertyMap) bool {
			return in["logOpts"].ObjectValue()["max-size"].StringValue() == "10m"
		},
		"survives a refresh while it is stopped": func(_ string, in resource.PropertyMap) bool { return !in["mustRun"].BoolValue() },
		"holds secrets as files only, read-only": func(_ string, in resource.PropertyMap) bool {
			for _, volume := range in["volumes"].ArrayValue() {
				v := volume.ObjectValue()
				if path := v["containerPath"].StringValue(); (path == secretsPath || path == backupSecretsPath) && !v["readOnly"].BoolValue() {
					return false
				}
			}
			return true
		},
		"publishes nothing, but for the edge on loopback": func(name string, in resource.PropertyMap) bool {
			if name != "edge" {
				return !in["ports"].HasValue() || len(in["ports"].ArrayValue()) == 0
			}
			port := in["ports"].ArrayValue()[0].ObjectValue()
			return len(in["ports"].ArrayValue()) == 1 && port["ip"].StringValue() == "127.0.0.1" && port["internal"].NumberValue() == edgeHTTPPort
		},
		"has a way out of the engine only if it is the edge": func(name string, in resource.PropertyMap) bool {
			if !in["networksAdvanced"].HasValue() {
				return true
			}
			for _, network := range in["networksAdvanced"].ArrayValue() {
				if network.ObjectValue()["name"].StringValue() == "bookshelf-dev-public" {
					return name == "edge"
				}
			}
			return name != "edge"
		},
		"is given time to stop, if it serves": func(_ string, in resource.PropertyMap) bool {
			return in["attach"].HasValue() && in["attach"].BoolValue() || in["destroyGraceSeconds"].NumberValue() >= 30
		},
	} {
		for name, inputs := range containers {
			t.Run(name+" "+rule, func(t *testing.T) {
				t.Parallel()
				if !holds(name, inputs) {
					t.Errorf("inputs: %v", inputs)
				}
			})
		}
	}
}

func TestNoSecretIsAnywhereInClearText(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	r := &recorder{}
	if err := declareIn(t, state, "dev", map[string]string{"image": someImage}, r); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"superuser_password", "owner_password", "app_login", "metrics_password", "readonly_password", "backup_password", "backup_key", "passphrase"} {
		content, err := os.ReadFile(filepath.Join(SecretsDir(state, "dev"), file))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Fields(string(content))
		secret := lines[len(lines)-1]
		for _, args := range r.resources {
			if inputs := fmt.Sprint(withoutSecrets(resource.NewObjectProperty(args.Inputs))); strings.Contains(inputs, secret) {
				t.Errorf("%s is in the inputs of %s", file, args.Name)
			}
		}
	}
}

// withoutSecrets replaces what Pulumi will encrypt.
func withoutSecrets(value resource.PropertyValue) resource.PropertyValue {
	switch {
	case value.IsSecret(), value.IsOutput() && value.OutputValue().Secret:
		return resource.NewStringProperty("[secret]")
	case value.IsObject():
		clean := resource.PropertyMap{}
		for key, element := range value.ObjectValue() {
			clean[key] = withoutSecrets(element)
		}
		return resource.NewObjectProperty(clean)
	case value.IsArray():
		var clean []resource.PropertyValue
		for _, element := range value.ArrayValue() {
			clean = append(clean, withoutSecrets(element))
		}
		return resource.NewArrayProperty(clean)
	default:
		return value
	}
}

func TestTheAppIsGivenNoSecretButItsOwn(t *testing.T) {
	t.Parallel()
	containers := deployed(t).containers()
	for name, want := range map[string]string{
		"app-blue-1": "bookshelf-dev-secrets-app", "edge": "bookshelf-dev-secrets-edge", "migration-blue": "bookshelf-dev-secrets-migration",
		"postgres": "bookshelf-dev-secrets-database", "roles": "bookshelf-dev-secrets-database", "backup": "bookshelf-dev-secrets-backup",
	} {
		for _, volume := range containers[name]["volumes"].ArrayValue() {
			v := volume.ObjectValue()
			if strings.Contains(v["volumeName"].StringValue(), "-secrets-") && v["volumeName"].StringValue() != want {
				t.Errorf("%s mounts %s, want %s", name, v["volumeName"].StringValue(), want)
			}
		}
	}
}

func TestBadConfigurationCreatesNothing(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	r := &recorder{}
	err := declareIn(t, state, "dev", map[string]string{"port": "none", "bind": "nowhere"}, r)
	if err == nil || !strings.Contains(err.Error(), "bookshelf:port") || !strings.Contains(err.Error(), "bookshelf:bind") {
		t.Errorf("want an error that names every bad key, have %v", err)
	}
	for _, args := range r.resources {
		if args.TypeToken != "pulumi:pulumi:Stack" {
			t.Errorf("%s %s was created", args.TypeToken, args.Name)
		}
	}
	if entries, _ := os.ReadDir(state); len(entries) > 0 {
		t.Error("secrets were generated")
	}
}

func TestAFailedTaskStopsWhatComesAfterIt(t *testing.T) {
	t.Parallel()
	for task, never := range map[string]string{"secrets-distribution": "postgres", "roles": "migration-blue", "migration-blue": "app-blue-1"} {
		t.Run(task, func(t *testing.T) {
			t.Parallel()
			r := &recorder{exitCodes: map[string]float64{task: 1}}
			err := declare(t, "dev", map[string]string{"image": someImage}, r)
			if err == nil || !strings.Contains(err.Error(), "exited with code 1: the end of the log") {
				t.Errorf("want the task's exit code and log, have %v", err)
			}
			if _, created := r.containers()[never]; created {
				t.Errorf("%s came up all the same", never)
			}
		})
	}
}

// declareSlots runs the program on slots that were filled before.
func declareSlots(t *testing.T, slots Slots, settings map[string]string, r *recorder) {
	t.Helper()
	state := t.TempDir()
	if err := WriteSlots(state, "dev", slots); err != nil {
		t.Fatal(err)
	}
	if err := declareIn(t, state, "dev", settings, r); err != nil {
		t.Fatal(err)
	}
}

func TestEachSlotRunsWhatItWasFilledWith(t *testing.T) {
	t.Parallel()
	config, err := Load("dev", from(nil))
	if err != nil {
		t.Fatal(err)
	}
	slots := config.FirstSlots("sha256:"+strings.Repeat("b", 64)).With(Green, config.Fill("sha256:"+strings.Repeat("c", 64), 2))
	slots.Live = Green
	r := &recorder{}
	// The configuration has changed since: that is none of the slots' business before the next release.
	declareSlots(t, slots, map[string]string{"image": someImage, "appMemoryMiB": "64", "logLevel": "debug", "replicas": "5"}, r)
	got := map[string]string{}
	for name, inputs := range r.containers() {
		if strings.HasPrefix(name, "app-") || strings.HasPrefix(name, "migration-") {
			got[name] = fmt.Sprintf("%s %v", inputs["image"].StringValue()[7:8], inputs["memory"].NumberValue())
		}
	}
	want := map[string]string{"app-blue-1": "b 128", "migration-blue": "b 128", "app-green-1": "c 128", "app-green-2": "c 128", "migration-green": "c 128"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsKeptForALookMayHaveFailed(t *testing.T) {
	t.Parallel()
	config, err := Load("dev", from(nil))
	if err != nil {
		t.Fatal(err)
	}
	failed := config.Fill(someImage, 1)
	failed.Retired = true
	r := &recorder{exitCodes: map[string]float64{"migration-green": 1}}
	declareSlots(t, config.FirstSlots(someImage).With(Green, failed), nil, r)
	if _, there := r.containers()["app-green-1"]; !there {
		t.Error("the retired slot is not declared, so it would be deleted")
	}
}

func TestTheFirstSlotsAreWrittenDown(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	if err := declareIn(t, state, "dev", map[string]string{"image": someImage, "replicas": "2"}, &recorder{}); err != nil {
		t.Fatal(err)
	}
	slots, err := ReadSlots(state, "dev")
	if err != nil || slots.Live != Blue || slots.LiveSlot().Image != someImage || slots.LiveSlot().Replicas != 2 {
		t.Errorf("slots %+v, %v", slots, err)
	}
}

func TestTheEdgeIsGivenItsCertificateAsAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"a.crt", "a.key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("PEM of "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := &recorder{}
	err := declare(t, "dev", map[string]string{
		"image": someImage, "tls": "files", "hosts": "books.example", "certFile": filepath.Join(dir, "a.crt"), "keyFile": filepath.Join(dir, "a.key"),
	}, r)
	if err != nil {
		t.Fatal(err)
	}
	edge := r.containers()["edge"]
	if len(edge["ports"].ArrayValue()) != 3 {
		t.Errorf("publishes %v, want HTTP, HTTPS and HTTP/3", edge["ports"])
	}
	uploads := fmt.Sprint(r.containers()["secrets-distribution"]["uploads"])
	for _, want := range []string{"/uploads/edge/tls.crt", "/uploads/edge/tls.key"} {
		if !strings.Contains(uploads, want) {
			t.Errorf("%s is not distributed", want)
		}
	}
	if strings.Contains(fmt.Sprint(edge), "PEM of") {
		t.Error("a key is in the edge's inputs")
	}
}

func TestASlotIsIdleUnlessItServes(t *testing.T) {
	t.Parallel()
	slots := Slots{Live: Blue, Slots: map[string]Slot{Blue: {Replicas: 1}, Green: {Retired: true}}}
	for slot, want := range map[string]bool{Blue: false, Green: true, "": false} {
		if got := slots.Idle(slot); got != want {
			t.Errorf("slot %q is idle: %t, want %t", slot, got, want)
		}
	}
	if !slots.Without(Green).Idle(Green) {
		t.Error("what is left of a slot that was emptied is not idle")
	}
	if (Slots{}).Idle(Blue) {
		t.Error("a slot is idle in an environment of which nothing is known")
	}
}
