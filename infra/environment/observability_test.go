package environment

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"bookshelf/infra/observability/stack"
)

func watched(t *testing.T, level string) map[string]resource.PropertyMap {
	t.Helper()
	r := &recorder{}
	if err := declare(t, "dev", map[string]string{"image": someImage, "observability": level}, r); err != nil {
		t.Fatal(err)
	}
	return r.containers()
}

// elements are those of an array, none where there is no such input.
func elements(value resource.PropertyValue) []resource.PropertyValue {
	if !value.HasValue() {
		return nil
	}
	return value.ArrayValue()
}

func TestWhatWatchesIsHardenedToo(t *testing.T) {
	t.Parallel()
	containers := watched(t, "full")
	found := 0
	for name, in := range containers {
		if !strings.HasPrefix(name, stack.Prefix) || name == stack.Prefix+"files" {
			continue
		}
		found++
		if !in["readOnly"].BoolValue() || in["capabilities"].ObjectValue()["drops"].ArrayValue()[0].StringValue() != "ALL" ||
			in["securityOpts"].ArrayValue()[0].StringValue() != "no-new-privileges:true" || in["memory"].NumberValue() == 0 {
			t.Errorf("%s is not hardened: %v", name, in)
		}
		if in["capabilities"].ObjectValue()["adds"].HasValue() {
			t.Errorf("%s has capabilities", name)
		}
		for _, port := range elements(in["ports"]) {
			if ip := port.ObjectValue()["ip"].StringValue(); ip != "127.0.0.1" {
				t.Errorf("%s is published on %s", name, ip)
			}
		}
		for _, volume := range elements(in["volumes"]) {
			if v := volume.ObjectValue(); v["hostPath"].HasValue() && !v["readOnly"].BoolValue() {
				t.Errorf("%s may write to %s of the host", name, v["hostPath"].StringValue())
			}
		}
		for _, network := range elements(in["networksAdvanced"]) {
			if n := network.ObjectValue()["name"].StringValue(); n == "bookshelf-dev-backend" || n == "bookshelf-dev-public" {
				t.Errorf("%s is on %s", name, n)
			}
		}
	}
	if found < 10 {
		t.Errorf("%d containers watch, want the whole stack", found)
	}
}

func TestOnlyTheEnvironmentsOwnLinesAreCollected(t *testing.T) {
	t.Parallel()
	for level, want := range map[string]bool{"off": false, "lean": true} {
		for name, in := range watched(t, level) {
			ours := name == "postgres" || name == "edge" || name == "app-blue-1"
			if got := in["logOpts"].ObjectValue()["labels"].HasValue(); got != (ours && want) {
				t.Errorf("%s: %s is collected: %t", level, name, got)
			}
		}
	}
}

func TestTheServiceSendsSpansWhereTracesAreKept(t *testing.T) {
	t.Parallel()
	for level, want := range map[string]bool{"off": false, "lean": false, "full": true} {
		sends := false
		for _, variable := range watched(t, level)["app-blue-1"]["envs"].ArrayValue() {
			sends = sends || variable.StringValue() == tracesVariable+"="+stack.TracesEndpoint
		}
		if sends != want {
			t.Errorf("%s: the service sends spans: %t, want %t", level, sends, want)
		}
	}
}

func TestWhatAServingSlotWasFilledWithStaysWhenWatchingBegins(t *testing.T) {
	t.Parallel()
	before, err := Load("dev", from(nil))
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	declareSlots(t, before.FirstSlots(someImage), map[string]string{"observability": "full"}, r)
	if app := r.containers()["app-blue-1"]; app["logOpts"].ObjectValue()["labels"].HasValue() {
		t.Error("the slot that serves would be replaced, and requests lost, because watching began")
	}
}

func TestBadSettingsOfWatchingAreNamed(t *testing.T) {
	t.Parallel()
	for key, value := range map[string]string{
		"observability": "much", "observabilityPort": "65535", "observabilityRetention": "1m", "observabilityImages": `{"unknown":"x"}`,
	} {
		if _, err := Load("dev", from(map[string]string{key: value})); err == nil || !strings.Contains(err.Error(), "bookshelf:"+key) {
			t.Errorf("%s = %s: %v, want an error that names it", key, value, err)
		}
	}
}
