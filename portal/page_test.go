package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// allPages lists the pages about an environment and a DPE of it, and those about none.
func allPages(env sim.EnvironmentID, l sim.Label) []string {
	e := "/environments/" + string(env)
	d := e + "/dpes/" + string(l)
	return []string{
		"/environments", "/environments/new", "/audit", "/audit?environment=" + string(env), "/account", "/room", "/room/cluster", "/room/cluster/dpe/finance-0", "/room/timeline", "/room/controls",
		"/room/why?subject=dpe/" + string(l), "/room/why", "/sign-in", e + "/overview", e + "/services", e + "/settings", e + "/jobs", e + "/jobs?state=RUNNING", e + "/dpm", e + "/storage", e + "/storage/sample-data", e + "/delete", e + "/dpes/new", e + "/allowlist", e + "/compliance",
		d + "/installation", d + "/upgrade", d + "/edit", d + "/remove",
	}
}

// element is an element of a page.
type element struct {
	name string
	attr map[string]string
	text string
}

// elements parses a page.
func elements(t *testing.T, body string) []element {
	t.Helper()
	root := must(html.Parse(strings.NewReader(body)))(t)
	var out []element
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		x := element{name: n.Data, attr: map[string]string{}}
		for _, a := range n.Attr {
			x.attr[a.Key] = a.Val
		}
		for d := range n.Descendants() {
			if d.Type == html.TextNode {
				x.text += d.Data
			}
		}
		out = append(out, x)
	}
	return out
}

// pageSUT is a portal with an environment that was upgraded, a DPE that lags, and a job.
func pageSUT(t *testing.T) (*sut, api.Environment, api.DPE) {
	t.Helper()
	s, ctx := start(t), t.Context()
	e := s.environment(t, api.EnvironmentSpec{Name: "Acme <Production>", Release: "15.1.0"})
	d := must(s.AddDPE(ctx, e.ID, api.DPESpec{Name: "Finance & more", Replicas: 2}))(t)
	s.cloud.connect(ctx, e.ID, engine(d, "a"))
	must(s.UpgradeEnvironment(ctx, e.ID, "15.3.0", 0))(t)
	must(s.Arm(ctx, api.Fault{Name: "slow", Point: "dpm.connect", Delay: "1h", Environment: e.ID}))(t)
	must(s.SubmitJob(ctx, e.ID, api.JobSpec{Bucket: "sample-data", Key: "movies.csv"}))(t)
	s.cloud.put("sample-data", "movies.csv", "a,b\n")
	return s, e, d
}

func TestEveryPageIsWholeAccessibleAndSelfContained(t *testing.T) {
	t.Parallel()
	s, e, d := pageSUT(t)
	s.runner.does(hang)
	must(s.StartRun(t.Context(), e.ID, d.Label, api.RunSpec{Task: api.TaskInstall}))(t)
	for _, path := range allPages(e.ID, d.Label) {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			got := s.get(t, path)
			if got.code != http.StatusOK || got.header.Get("Content-Type") != "text/html; charset=UTF-8" {
				t.Fatalf("%d %v", got.code, got.header)
			}
			checkPage(t, got.body)
		})
	}
}

// checkPage checks what holds for every page.
func checkPage(t *testing.T, body string) {
	t.Helper()
	all := elements(t, body)
	ids, labelled, count := map[string]bool{}, map[string]bool{}, map[string]int{}
	for _, x := range all {
		count[x.name]++
		if id := x.attr["id"]; id != "" {
			if ids[id] {
				t.Errorf("id %s is there twice", id)
			}
			ids[id] = true
		}
		if x.name == "label" {
			labelled[x.attr["for"]] = true
		}
	}
	if count["h1"] != 1 || count["main"] != 1 || strings.Count(body, "· dpesim</title>") != 1 { // pictures have titles, too
		t.Errorf("headings and landmarks: %v", count)
	}
	if !strings.Contains(body, "Not affiliated with Ataccama") {
		t.Error("the footer is missing")
	}
	for _, x := range all {
		for _, a := range []string{"src", "href", "action", "hx-get", "sse-connect"} {
			if v := x.attr[a]; v != "" && !strings.HasPrefix(v, "/") && !strings.HasPrefix(v, "?") && !strings.HasPrefix(v, "#") {
				t.Errorf("%s %s=%q leaves the portal", x.name, a, v)
			}
		}
		for a := range x.attr {
			if strings.HasPrefix(a, "on") || a == "style" {
				t.Errorf("%s has %s, which the content security policy forbids", x.name, a)
			}
		}
		for _, a := range []string{"aria-describedby", "aria-labelledby", "data-copy"} {
			for id := range strings.FieldsSeq(x.attr[a]) {
				if !ids[id] {
					t.Errorf("%s %s names %q, which is not there", x.name, a, id)
				}
			}
		}
		kind := x.attr["type"]
		if (x.name == "input" && kind != "hidden" && kind != "checkbox" && kind != "radio" || x.name == "select" || x.name == "textarea") && !labelled[x.attr["id"]] {
			t.Errorf("%s %q has no label", x.name, x.attr["name"])
		}
		if (x.name == "script" || x.name == "style") && strings.TrimSpace(x.text) != "" {
			t.Errorf("inline %s, which the content security policy forbids", x.name)
		}
		if (x.name == "button" || x.name == "a") && strings.TrimSpace(x.text) == "" && x.attr["aria-label"] == "" {
			t.Errorf("%s without a name: %v", x.name, x.attr)
		}
	}
}

func TestPagesSayTheProductsWords(t *testing.T) {
	t.Parallel()
	s, e, d := pageSUT(t)
	settings := "/environments/" + string(e.ID) + "/settings"
	for path, words := range map[string][]string{
		"/environments/" + string(e.ID) + "/overview": {
			"15.3.0", "enterprise", "1 of 5 engines", "2 of 10 replicas", "DPE is connected successfully", "Outdated", "finance-more is Outdated", "Show upgrade steps", "DPE added", "replicas 2 · revision 1 · by tess", "from 15.1.0 to 15.3.0",
		},
		"/environments/" + string(e.ID) + "/dpm":                {"Data Processing Module (DPM)", "15.3.0", "15.1.0", "finance-more-a", "0 of 2", "movies.csv", "ENQUEUED"},
		"/environments/" + string(e.ID) + "/jobs?state=RUNNING": {"No job is RUNNING", "RUNNING\" selected"},
		"/audit":        {"environment upgraded", "from 15.1.0 · to 15.3.0", "127.0.0.1:", "command line", "finance-more"},
		"/account":      {"Tess", "command line", "You have no API token", "Ada", "organisation admin", "Remove mia"},
		"/environments": {"Create environment", "Acme &lt;Production&gt;", "1 of 5", "2 of 10"},
		settings: {
			"Self-managed DPE", "Add DPE", "Service sizing", "1600m", "350Gi", "DPE is connected successfully", "1 of 2 replicas connected",
			"Outdated", "Show upgrade steps", "Edit", "Remove", "Finance &amp; more",
		},
		"/environments/" + string(e.ID) + "/services":                             {"Data Processing Module", "ONE Object Storage", "https://dpm-grpc-" + string(e.ID), "Connected engines", "finance-more-a"},
		"/environments/" + string(e.ID) + "/dpes/" + string(d.Label) + "/remove":  {"Remove from Portal", "Your cluster is not told", "cannot be automatically propagated", "cannot be restored", "2 replicas are free for other DPEs", "helm uninstall finance-more"},
		"/environments/" + string(e.ID) + "/dpes/" + string(d.Label) + "/upgrade": {"Upgrade steps", "helm upgrade --install", "values.yaml", "--version 15.3.0"},
		"/environments/" + string(e.ID) + "/dpes/new":                             {"Name", "Drivers", "Replicas", "Continue"},
		"/environments/" + string(e.ID) + "/jobs":                                 {"movies.csv", "ENQUEUED", "no DPE is connected"},
		"/environments/" + string(e.ID) + "/compliance":                           {"Export CSV", "10 replicas are licensed, 2 specified and 1 connected"},
		"/room":                              {"Simulated Ataccama cloud", "1 engine connected", "finance-more-a to DPM", "203.0.113.10:40001", "broken on purpose: slow"},
		"/room/cluster":                      {"dpesim-node-1", "1200m of 3860m", "ImagePullBackOff", "Back-off pulling image", "dpesim kubectl get pods -A"},
		"/room/cluster/dpe/finance-0":        {"hello from the pod", "dpesim kubectl logs finance-0 -n dpe -f"},
		"/room/timeline":                     {"dpe added", "environment upgraded"},
		"/room/controls":                     {"frozen", "2026", "slow", "dpm.connect", "dpesim clock advance"},
		"/room/why?subject=dpe/finance-more": {"dpe added", "dpesim why dpe/"},
	} {
		body := s.get(t, path).body
		for _, w := range words {
			if !strings.Contains(body, w) {
				t.Errorf("%s does not say %q", path, w)
			}
		}
	}
}

func TestWholeWayWorksWithoutScripts(t *testing.T) {
	t.Parallel()
	s := start(t)
	got := s.post(t, "/environments", url.Values{"name": {"Prod"}, "location": {"aws/eu-central-1"}, "release": {"15.1.0"}, "tier": {"L"}, "offering": {"professional"}, "engines": {"3"}})
	if got.code != http.StatusSeeOther || got.header.Get("Location") != "/environments/prod/settings" {
		t.Fatalf("Create environment: %d %v", got.code, got.header)
	}
	if page := s.get(t, "/environments/prod/settings").body; !strings.Contains(page, "is being created") {
		t.Error("the page does not say that the environment is being created")
	}
	if got = s.post(t, "/environments/prod/dpes", url.Values{"name": {"Finance"}, "replicas": {"2"}}); got.code != http.StatusConflict {
		t.Errorf("Add DPE during the creation: %d", got.code)
	}
	s.reconcile(t)
	if e := must(s.Environment(t.Context(), "prod"))(t); e.Offering != api.OfferingProfessional || e.Contract != (api.EnvironmentContract{Engines: 3, Replicas: 10}) {
		t.Errorf("created %+v", e)
	}
	got = s.post(t, "/environments/prod/dpes", url.Values{"name": {"Finance"}, "replicas": {"2"}, "driver": {"s3", "oracle"}})
	if got.code != http.StatusSeeOther || got.header.Get("Location") != "/environments/prod/dpes/finance/installation" {
		t.Fatalf("Add DPE: %d %s", got.code, got.body)
	}
	got = s.post(t, "/environments/prod/dpes/finance/edit", url.Values{"revision": {"1"}, "replicas": {"3"}, "driver": {"s3"}})
	if got.code != http.StatusSeeOther {
		t.Fatalf("Edit: %d %s", got.code, got.body)
	}
	d := must(s.DPE(t.Context(), "prod", "finance"))(t)
	if d.Replicas != 3 || len(d.Drivers) != 1 || d.Revision != 2 {
		t.Errorf("after Edit: %+v", d)
	}
	if got = s.post(t, "/environments/prod/upgrade", url.Values{"release": {"15.3.0"}}); got.code != http.StatusSeeOther {
		t.Errorf("Upgrade platform: %d", got.code)
	}
	if got = s.post(t, "/environments/prod/jobs", url.Values{"bucket": {"sample-data"}, "key": {"movies.csv"}}); got.code != http.StatusSeeOther {
		t.Errorf("Submit job: %d", got.code)
	}
	if got = s.post(t, "/environments/prod/dpes/finance/remove", url.Values{"confirm": {"yes"}}); got.code != http.StatusBadRequest {
		t.Errorf("Remove without the label: %d", got.code)
	}
	if got = s.post(t, "/environments/prod/dpes/finance/remove", url.Values{"confirm": {"finance"}}); got.code != http.StatusSeeOther {
		t.Errorf("Remove: %d", got.code)
	}
	if got = s.post(t, "/environments/prod/delete", url.Values{"confirm": {"prod"}}); got.code != http.StatusSeeOther {
		t.Errorf("Delete environment: %d", got.code)
	}
	s.reconcile(t)
	if got = s.get(t, "/environments/prod/settings"); got.code != http.StatusNotFound {
		t.Errorf("a deleted environment's page: %d", got.code)
	}
	checkPage(t, got.body)
}

func TestWrongFormsComeBackWithWhatWasTyped(t *testing.T) {
	t.Parallel()
	s, e, d := pageSUT(t)
	base := "/environments/" + string(e.ID)
	for name, c := range map[string]struct {
		path  string
		form  url.Values
		code  int
		words []string
	}{
		"environment with engines in words": {"/environments", url.Values{"name": {"a"}, "engines": {"two"}}, 400, []string{"no whole number", `value="two"`}},
		"environment without letters":       {"/environments", url.Values{"name": {"???"}}, 400, []string{`role="alert"`, `value="???"`}},
		"DPE with a used label":             {base + "/dpes", url.Values{"name": {"finance more"}, "replicas": {"1"}}, 409, []string{"unique in its environment", `value="finance more"`}},
		"too many replicas":                 {base + "/dpes", url.Values{"name": {"HR"}, "replicas": {"9"}}, 422, []string{"licence allows 10", "finance-more 2"}},
		"replicas in words":                 {base + "/dpes", url.Values{"name": {"HR"}, "replicas": {"two"}}, 400, []string{"whole number"}},
		"edit of an old revision":           {base + "/dpes/" + string(d.Label) + "/edit", url.Values{"revision": {"1"}, "replicas": {"3"}}, 409, []string{"changed meanwhile", `name="revision" value="2"`}},
		"job without a key":                 {base + "/jobs", url.Values{"bucket": {"b"}}, 400, []string{"what to read", `value="b"`}},
		"upgrade to the same":               {base + "/upgrade", url.Values{"release": {"15.3.0"}}, 400, []string{"it has release 15.3.0"}},
		"deletion not confirmed":            {base + "/delete", url.Values{"confirm": {"x"}}, 400, []string{"nothing was done"}},
	} {
		got := s.post(t, c.path, c.form)
		if got.code != c.code {
			t.Errorf("%s: %d, want %d", name, got.code, c.code)
		}
		for _, w := range c.words {
			if !strings.Contains(got.body, w) {
				t.Errorf("%s: the page does not say %q", name, w)
			}
		}
		checkPage(t, got.body)
	}
}

func TestLiveParts(t *testing.T) {
	t.Parallel()
	s, e, d := pageSUT(t)
	base := "/environments/" + string(e.ID)
	if got := s.get(t, base+"/label?name="+url.QueryEscape("Finance Warehouse 2")); !strings.Contains(got.body, "finance-warehouse-2") {
		t.Errorf("label preview: %s", got.body)
	}
	if got := s.get(t, base+"/dpes/"+string(d.Label)+"/status"); !strings.Contains(got.body, "DPE is connected successfully") || strings.Contains(got.body, "<html") {
		t.Errorf("status: %s", got.body)
	}
	got := s.send(t, http.MethodGet, base+"/dpes/gone/status", "", "HX-Request: true", "Accept: */*")
	if got.code != http.StatusNotFound || got.header.Get("HX-Redirect") != base+"/settings" {
		t.Errorf("status of a removed DPE: %d %v", got.code, got.header)
	}
	if events := must(s.Events(t.Context(), api.EventFilter{}))(t); len(events) == 0 {
		t.Error("no events")
	}
	if body := s.send(t, http.MethodGet, "/api/v1/events?part=dpm", "").body; strings.Contains(body, `"part":"portal"`) || !strings.Contains(body, `"part":"dpm"`) {
		t.Errorf("events of one part: %s", body)
	}
}

func TestAssetsAreServedWithTheirLicences(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{"style.css", "app.js", "icon.svg", "vendor/htmx.min.js", "vendor/htmx.LICENSE", "vendor/sse.min.js", "vendor/sse.LICENSE"} {
		got := s.get(t, "/assets/"+path)
		if got.code != http.StatusOK || got.header.Get("ETag") == "" {
			t.Errorf("%s: %d %v", path, got.code, got.header)
		}
		if again := s.send(t, http.MethodGet, "/assets/"+path, "", "If-None-Match: "+got.header.Get("ETag")); again.code != http.StatusNotModified {
			t.Errorf("%s again: %d", path, again.code)
		}
	}
	for _, path := range []string{"/assets/", "/assets/vendor", "/assets/../go.mod", "/assets/%2e%2e/render.go"} {
		if got := s.get(t, path); got.code != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.code)
		}
	}
}
