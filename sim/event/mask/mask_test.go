package mask_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event/mask"
)

func TestLinesTakeAwayWhatNoTwoRunsShareAndNothingElse(t *testing.T) {
	t.Parallel()
	log := func(hash, port, key string, more ...sim.Event) []sim.Event {
		events := append([]sim.Event{
			{Part: sim.PartDPM, Environment: "acme", DPE: "fin", What: "component authorised", Detail: map[string]string{"key_id": key}},
			{Part: sim.PartCluster, DPE: "fin", What: "pod created", Detail: map[string]string{"pod": "fin-" + hash + "-2xrtm", "replica_set": "fin-" + hash}},
			{Part: sim.PartCluster, DPE: "fin", What: "image pulled", Detail: map[string]string{"image": "localhost:" + port + "/images/dpe:15.3.0"}},
			{Part: sim.PartDPM, Environment: "acme", DPE: "fin", What: "engine connected", Detail: map[string]string{"remote": "203.0.113.10:" + port, "replica": "fin-" + hash + "-2xrtm"}},
		}, more...)
		for i := range events {
			events[i].Seq, events[i].Time = uint64(i+1), time.Unix(int64(len(port)+i), 0)
		}
		return events
	}
	again := sim.Event{Part: sim.PartDPM, Environment: "acme", DPE: "fin", What: "engine connected", Detail: map[string]string{"remote": "203.0.113.10:1", "replica": "fin-6984cd56f8-6wc6r"}}
	first := mask.Lines(log("6984cd56f8", "39836", "TvpAC8c8"))
	second := mask.Lines(log("55b6966958", "4711", "Z9RELYwI", again))
	if !slices.Equal(first, second) {
		t.Errorf("they differ:\n%s\n\n%s", strings.Join(first, "\n"), strings.Join(second, "\n"))
	}
	want := []string{
		`cluster fin image pulled image="localhost:PORT/images/dpe:15.3.0"`,
		`cluster fin pod created pod="fin-HASH" replica_set="fin-HASH"`,
		`dpm acme fin component authorised key_id="KEY"`,
		`dpm acme fin engine connected remote="203.0.113.10:PORT" replica="fin-HASH"`,
	}
	if !slices.Equal(first, want) {
		t.Errorf("got\n%s", strings.Join(first, "\n"))
	}
	for name, other := range map[string]sim.Event{
		"another kind":  {What: "engine lost"},
		"another value": {Part: sim.PartDPM, Environment: "acme", DPE: "fin", What: "engine connected", Detail: map[string]string{"remote": "203.0.113.11:1", "replica": "fin-6984cd56f8-6wc6r"}},
		"another cause": {Part: sim.PartDPM, Environment: "acme", DPE: "fin", What: "component authorised", Detail: map[string]string{"key_id": "x"}, Cause: 2},
	} {
		diff := mask.Diff(first, mask.Lines(log("6984cd56f8", "1", "x", other)))
		if len(diff) != 1 || !strings.HasPrefix(diff[0], "+ ") || !strings.Contains(diff[0], other.What) {
			t.Errorf("%s: %q", name, diff)
		}
	}
}

func TestWhatIsOfTheMomentIsMasked(t *testing.T) {
	t.Parallel()
	scaled := func(cause uint64) sim.Event {
		return sim.Event{Part: sim.PartCluster, DPE: "fin", What: "deployment scaled", Cause: cause, Detail: map[string]string{"from": "1", "to": "2"}}
	}
	log := func(when string, more ...sim.Event) []string {
		events := append([]sim.Event{
			{Part: sim.PartPortal, Environment: "acme", DPE: "fin", What: "registry token rotated", Detail: map[string]string{"expires": when}},
			{Part: sim.PartObjstore, Environment: "acme", What: "request refused", Detail: map[string]string{"access_key": "DPE" + when}},
			{Part: sim.PartCluster, DPE: "fin", What: "replicas ready"},
			{Part: sim.PartCluster, DPE: "fin", What: "pod deleted"},
			{Part: sim.PartCluster, DPE: "fin", What: "helm rollback started"},
			scaled(3),
		}, more...)
		for i := range events {
			events[i].Seq = uint64(i + 1)
		}
		return mask.Lines(events)
	}
	refused := func(reason string) sim.Event {
		return sim.Event{Part: sim.PartEdge, What: "connection refused", Detail: map[string]string{"reason": reason, "source": "127.0.0.1"}}
	}
	waits := func(reason string) sim.Event {
		return sim.Event{Part: sim.PartCluster, DPE: "fin", What: "pod unschedulable", Detail: map[string]string{"reason": "0/3 nodes are available: " + reason}}
	}
	const noon = "2027-11-29T12:00:00Z"
	if diff := mask.Diff(log(noon), log("2027-11-29T12:00:06.5Z", scaled(4), refused("no hello"), refused("foreign egress"), waits("waiting for ephemeral volume controller to create the claim."))); len(diff) != 0 {
		t.Errorf("these are of the moment: %q", diff)
	}
	for _, e := range []sim.Event{scaled(5), refused("not allowed"), waits("3 Insufficient memory.")} {
		if diff := mask.Diff(log(noon), log(noon, e)); len(diff) != 1 {
			t.Errorf("%s is masked although it is no matter of chance: %q", e.What, diff)
		}
	}
}

func TestTheDocumentSaysWhatIsMaskedAndWhy(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	table.WriteString("| what | why |\n|---|---|\n")
	for _, r := range mask.Rules {
		fmt.Fprintf(&table, "| %s | %s |\n", r.What, r.Why)
	}
	doc, err := os.ReadFile("../../../docs/determinism.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), table.String()+"\n") {
		t.Errorf("docs/determinism.md must have\n%s", table.String())
	}
}
