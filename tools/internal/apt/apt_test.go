package apt

import (
	"slices"
	"testing"
)

func TestOnlyArchivesThatDebianSignedAreTakenForDebians(t *testing.T) {
	t.Parallel()
	got := parseTargets("Vendor\tDebian\tmain\thttp://vendor.example/debian/\n" +
		"Debian\tDebian\tcontrib\thttp://elsewhere.example/debian/\n" +
		"Debian\tDebian\tmain\thttp://mirror.example/debian/\n" +
		"Debian\tDebian\tmain\thttp://second.example/debian/\n" +
		"Debian\tDebian-Security\tmain\thttp://mirror.example/debian-security\n" +
		"Debian\tDebian Backports\tmain\thttp://mirror.example/backports\n" +
		"\t\tmain\thttp://never-refreshed.example/debian/\n")
	if got.Debian != "http://mirror.example/debian" || got.Security != "http://mirror.example/debian-security" {
		t.Errorf("parseTargets found %+v", got)
	}
}

func TestTheHostsProxyIsFound(t *testing.T) {
	t.Parallel()
	got := proxyOptions(`APT::Architecture "amd64";
Acquire "";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::Proxy "";
Acquire::http::Proxy::mirror.example "DIRECT";
Acquire::http::Pipeline-Depth "5";
`)
	want := []string{`Acquire::http::Proxy "http://proxy.example:3128";`, `Acquire::http::Proxy::mirror.example "DIRECT";`}
	if !slices.Equal(got, want) {
		t.Errorf("proxyOptions found %q, want %q", got, want)
	}
}
