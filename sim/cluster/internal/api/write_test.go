package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"
)

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "web:1", Ports: []corev1.ContainerPort{{ContainerPort: 80}}}}}
}

func pod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", Labels: map[string]string{"app": "web"}}, Spec: podSpec()}
}

func deployment(name string) *appsv1.Deployment {
	l := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: l},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: l}, Spec: podSpec()},
		},
	}
}

func ok[T any](tb testing.TB) func(v T, err error) T {
	tb.Helper()
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

func started(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	t.Parallel()
	s, _ := start(t, options(t, ""))
	return client(t, s)
}

func TestObjectsAreStampedWithProductTime(t *testing.T) {
	c := started(t).CoreV1().ConfigMaps("default")
	cm := ok[*corev1.ConfigMap](t)(c.Create(t.Context(), configMap("a"), metav1.CreateOptions{}))
	if !cm.CreationTimestamp.Time.Equal(epoch) {
		t.Errorf("created %s, want %s", cm.CreationTimestamp, epoch)
	}
	if len(cm.ManagedFields) != 1 || !cm.ManagedFields[0].Time.Time.Equal(epoch) {
		t.Errorf("managed fields %v, want one of %s", cm.ManagedFields, epoch)
	}
	if len(cm.UID) != 36 || cm.UID[14] != '4' {
		t.Errorf("uid %q", cm.UID)
	}
}

func TestUpdateOfAStaleObjectConflicts(t *testing.T) {
	c := started(t).CoreV1().ConfigMaps("default")
	first := ok[*corev1.ConfigMap](t)(c.Create(t.Context(), configMap("a"), metav1.CreateOptions{}))
	if _, err := c.Create(t.Context(), configMap("a"), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("second create: %v", err)
	}
	next := first.DeepCopy()
	next.Data["k"] = "w"
	second := ok[*corev1.ConfigMap](t)(c.Update(t.Context(), next, metav1.UpdateOptions{}))
	if second.ResourceVersion == first.ResourceVersion {
		t.Error("the resource version did not move")
	}
	if _, err := c.Update(t.Context(), next, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("stale update: %v", err)
	}
	same := ok[*corev1.ConfigMap](t)(c.Update(t.Context(), second, metav1.UpdateOptions{}))
	if same.ResourceVersion != second.ResourceVersion {
		t.Error("an update that changes nothing made a revision")
	}
}

func TestEveryKindOfPatchApplies(t *testing.T) {
	c := started(t).AppsV1().Deployments("default")
	ok[*appsv1.Deployment](t)(c.Create(t.Context(), deployment("web"), metav1.CreateOptions{}))
	for _, tt := range []struct {
		kind types.PatchType
		body string
		want int32
	}{
		{types.MergePatchType, `{"spec":{"replicas":2}}`, 2},
		{types.JSONPatchType, `[{"op":"replace","path":"/spec/replicas","value":3}]`, 3},
		{types.StrategicMergePatchType, `{"spec":{"replicas":4,"template":{"spec":{"containers":[{"name":"c","image":"web:2"}]}}}}`, 4},
	} {
		d := ok[*appsv1.Deployment](t)(c.Patch(t.Context(), "web", tt.kind, []byte(tt.body), metav1.PatchOptions{}))
		if *d.Spec.Replicas != tt.want || len(d.Spec.Template.Spec.Containers) != 1 || len(d.Spec.Template.Spec.Containers[0].Ports) != 1 {
			t.Errorf("%s: %+v", tt.kind, d.Spec)
		}
	}
}

func TestServerSideApplyOwnsFieldsAndReportsConflicts(t *testing.T) {
	c := started(t).AppsV1().Deployments("default")
	web := func(image string) *appsac.DeploymentApplyConfiguration {
		l := map[string]string{"app": "web"}
		return appsac.Deployment("web", "default").WithSpec(appsac.DeploymentSpec().
			WithSelector(metaac.LabelSelector().WithMatchLabels(l)).
			WithTemplate(coreac.PodTemplateSpec().WithLabels(l).WithSpec(coreac.PodSpec().WithContainers(
				coreac.Container().WithName("c").WithImage(image).WithPorts(coreac.ContainerPort().WithContainerPort(80))))))
	}
	apply := func(image, manager string, force bool) (*appsv1.Deployment, error) {
		return c.Apply(t.Context(), web(image), metav1.ApplyOptions{FieldManager: manager, Force: force})
	}
	first := ok[*appsv1.Deployment](t)(apply("web:1", "a", false))
	again := ok[*appsv1.Deployment](t)(apply("web:1", "a", false))
	if first.ResourceVersion != again.ResourceVersion {
		t.Error("applying the same again made a revision")
	}
	if _, err := apply("web:2", "b", false); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "a"`) {
		t.Errorf("second manager: %v", err)
	}
	forced := ok[*appsv1.Deployment](t)(apply("web:2", "b", true))
	if got := forced.Spec.Template.Spec.Containers[0]; got.Image != "web:2" || len(got.Ports) != 1 {
		t.Errorf("forced: %+v", got) // a port that is doubled means that the default of its key is missing
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	c := started(t).CoreV1().ConfigMaps("default")
	ok[*corev1.ConfigMap](t)(c.Create(t.Context(), configMap("a"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}))
	if _, err := c.Get(t.Context(), "a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("get after a dry run: %v", err)
	}
}

func TestSecretFoldsStringData(t *testing.T) {
	c := started(t).CoreV1().Secrets("default")
	s := ok[*corev1.Secret](t)(c.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "s"}, StringData: map[string]string{"password": "hunter2"},
	}, metav1.CreateOptions{}))
	if string(s.Data["password"]) != "hunter2" || s.StringData != nil || s.Type != corev1.SecretTypeOpaque {
		t.Errorf("%+v", s)
	}
}

func TestStatusAndSpecHaveTheirOwnEndpoints(t *testing.T) {
	c := started(t).AppsV1().Deployments("default")
	d := deployment("web")
	d.Status.Replicas = 7
	d = ok[*appsv1.Deployment](t)(c.Create(t.Context(), d, metav1.CreateOptions{}))
	if d.Status.Replicas != 0 || d.Generation != 1 {
		t.Fatalf("created with status %+v, generation %d", d.Status, d.Generation)
	}
	d.Status.Replicas, *d.Spec.Replicas = 5, 9
	s := ok[*appsv1.Deployment](t)(c.UpdateStatus(t.Context(), d, metav1.UpdateOptions{}))
	if s.Status.Replicas != 5 || *s.Spec.Replicas != 1 || s.Generation != 1 {
		t.Errorf("after a status update: %+v", s)
	}
	s.Status.Replicas, *s.Spec.Replicas = 6, 9
	m := ok[*appsv1.Deployment](t)(c.Update(t.Context(), s, metav1.UpdateOptions{}))
	if m.Status.Replicas != 5 || *m.Spec.Replicas != 9 || m.Generation != 2 {
		t.Errorf("after an update: %+v", m)
	}
}

func TestScaleKeepsTheOwnerOfReplicas(t *testing.T) {
	c := started(t).AppsV1().Deployments("default")
	ok[*appsv1.Deployment](t)(c.Create(t.Context(), deployment("web"), metav1.CreateOptions{FieldManager: "creator"}))
	sc := ok[*autoscalingv1.Scale](t)(c.GetScale(t.Context(), "web", metav1.GetOptions{}))
	if sc.Spec.Replicas != 1 || sc.Status.Selector != "app=web" {
		t.Errorf("scale %+v", sc)
	}
	sc.Spec.Replicas = 4
	ok[*autoscalingv1.Scale](t)(c.UpdateScale(t.Context(), "web", sc, metav1.UpdateOptions{FieldManager: "scaler"}))
	d := ok[*appsv1.Deployment](t)(c.Get(t.Context(), "web", metav1.GetOptions{}))
	var owners []string
	for _, e := range d.ManagedFields {
		if strings.Contains(e.FieldsV1.GetRawString(), `"f:replicas"`) {
			owners = append(owners, e.Manager)
		}
	}
	if *d.Spec.Replicas != 4 || !slices.Equal(owners, []string{"scaler"}) || d.Generation != 2 {
		t.Errorf("replicas %d of %q, generation %d", *d.Spec.Replicas, owners, d.Generation)
	}
	sc.ResourceVersion, sc.Spec.Replicas = "", -1
	if _, err := c.UpdateScale(t.Context(), "web", sc, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("negative scale: %v", err)
	}
}

func bind(t *testing.T, c *kubernetes.Clientset, name string) {
	t.Helper()
	err := c.CoreV1().Pods("default").Bind(t.Context(), &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Target: corev1.ObjectReference{Kind: "Node", Name: "n1"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPodsAreBoundOnceAndLeaveGracefully(t *testing.T) {
	c := started(t)
	pods := c.CoreV1().Pods("default")
	ok[*corev1.Pod](t)(pods.Create(t.Context(), pod("p"), metav1.CreateOptions{}))
	bind(t, c, "p")
	err := pods.Bind(t.Context(), &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Target: corev1.ObjectReference{Name: "n2"}}, metav1.CreateOptions{})
	if !apierrors.IsConflict(err) {
		t.Errorf("second binding: %v", err)
	}
	if err := pods.Delete(t.Context(), "p", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	p := ok[*corev1.Pod](t)(pods.Get(t.Context(), "p", metav1.GetOptions{}))
	if want := epoch.Add(30e9); p.DeletionTimestamp == nil || !p.DeletionTimestamp.Time.Equal(want) || p.Spec.NodeName != "n1" {
		t.Errorf("deletion at %v on %q, want %s", p.DeletionTimestamp, p.Spec.NodeName, want)
	}
	now := int64(0)
	if err := pods.Delete(t.Context(), "p", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	if _, err := pods.Get(t.Context(), "p", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after the grace: %v", err)
	}
}

func TestFinalizersHoldAnObject(t *testing.T) {
	c := started(t).CoreV1().ConfigMaps("default")
	cm := configMap("a")
	cm.Finalizers = []string{"example.com/hold"}
	ok[*corev1.ConfigMap](t)(c.Create(t.Context(), cm, metav1.CreateOptions{}))
	if err := c.Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	held := ok[*corev1.ConfigMap](t)(c.Get(t.Context(), "a", metav1.GetOptions{}))
	if held.DeletionTimestamp == nil || !held.DeletionTimestamp.Time.Equal(epoch) {
		t.Fatalf("deletion at %v, want %s", held.DeletionTimestamp, epoch)
	}
	held.Finalizers = nil
	ok[*corev1.ConfigMap](t)(c.Update(t.Context(), held, metav1.UpdateOptions{}))
	if _, err := c.Get(t.Context(), "a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after the last finalizer: %v", err)
	}
}

func TestNamespacesTerminateBeforeTheyGo(t *testing.T) {
	c := started(t)
	ns := c.CoreV1().Namespaces()
	if _, err := c.CoreV1().ConfigMaps("nosuch").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, metav1.CreateOptions{}); !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), `namespaces "nosuch" not found`) {
		t.Errorf("create without a namespace: %v", err)
	}
	ok[*corev1.Namespace](t)(ns.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, metav1.CreateOptions{}))
	if err := ns.Delete(t.Context(), "n", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	n := ok[*corev1.Namespace](t)(ns.Get(t.Context(), "n", metav1.GetOptions{}))
	if n.Status.Phase != corev1.NamespaceTerminating || n.DeletionTimestamp == nil || len(n.Spec.Finalizers) != 1 || n.Labels[corev1.LabelMetadataName] != "n" {
		t.Fatalf("%+v", n)
	}
	_, err := c.CoreV1().ConfigMaps("n").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, metav1.CreateOptions{})
	if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("create in a terminating namespace: %v", err)
	}
	n.Spec.Finalizers = nil
	ok[*corev1.Namespace](t)(ns.Finalize(t.Context(), n, metav1.UpdateOptions{}))
	if _, err := ns.Get(t.Context(), "n", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after finalize: %v", err)
	}
	if err := ns.Delete(t.Context(), "default", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("delete default: %v", err)
	}
}

func TestEvictionAsksTheBudget(t *testing.T) {
	c := started(t)
	pods, budgets := c.CoreV1().Pods("default"), c.PolicyV1().PodDisruptionBudgets("default")
	for _, name := range []string{"p1", "p2"} {
		ok[*corev1.Pod](t)(pods.Create(t.Context(), pod(name), metav1.CreateOptions{}))
		bind(t, c, name)
		p := ok[*corev1.Pod](t)(pods.Get(t.Context(), name, metav1.GetOptions{}))
		p.Status.Phase = corev1.PodRunning
		ok[*corev1.Pod](t)(pods.UpdateStatus(t.Context(), p, metav1.UpdateOptions{}))
	}
	one := intstr.FromInt32(1)
	b := ok[*policyv1.PodDisruptionBudget](t)(budgets.Create(t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "b"},
		Spec:       policyv1.PodDisruptionBudgetSpec{MinAvailable: &one, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}},
	}, metav1.CreateOptions{}))
	evict := func(name string) error {
		return pods.EvictV1(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}})
	}
	err := c.PolicyV1().RESTClient().Post().AbsPath("/api/v1/namespaces/default/pods/p1/eviction").MaxRetries(0). // the client would wait
															Body(&policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "p1"}}).Do(t.Context()).Error()
	if !apierrors.IsTooManyRequests(err) {
		t.Errorf("before the controller has seen the budget: %v", err)
	}
	b.Status = policyv1.PodDisruptionBudgetStatus{ObservedGeneration: b.Generation, DisruptionsAllowed: 1, CurrentHealthy: 2, DesiredHealthy: 1}
	ok[*policyv1.PodDisruptionBudget](t)(budgets.UpdateStatus(t.Context(), b, metav1.UpdateOptions{}))
	if err := evict("p1"); err != nil {
		t.Errorf("within the budget: %v", err)
	}
	if err := evict("p2"); !apierrors.IsTooManyRequests(err) || !apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause) {
		t.Errorf("beyond the budget: %v", err)
	}
	b = ok[*policyv1.PodDisruptionBudget](t)(budgets.Get(t.Context(), "b", metav1.GetOptions{}))
	if _, booked := b.Status.DisruptedPods["p1"]; !booked || b.Status.DisruptionsAllowed != 0 {
		t.Errorf("budget %+v", b.Status)
	}
}

func TestInvalidObjectsAreRefusedInKubernetesWords(t *testing.T) {
	c := started(t)
	deploy := func(edit func(*appsv1.Deployment)) error {
		d := deployment("web")
		edit(d)
		_, err := c.AppsV1().Deployments("default").Create(t.Context(), d, metav1.CreateOptions{})
		return err
	}
	for want, err := range map[string]error{
		"`selector` does not match template `labels`": deploy(func(d *appsv1.Deployment) { d.Spec.Template.Labels = map[string]string{"app": "other"} }),
		"spec.selector: Required value":               deploy(func(d *appsv1.Deployment) { d.Spec.Selector = nil }),
		"spec.template.spec.containers: Required value": deploy(func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers = nil
		}),
		"spec.template.spec.containers[0].image: Required value": deploy(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "" }),
		"a lowercase RFC 1123 label":                             deploy(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Name = "A_b" }),
		"must be less than or equal to memory limit of 1Gi": deploy(func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Resources = corev1.ResourceRequirements{
				Requests: corev1.ResourceList{"memory": resource.MustParse("2Gi")}, Limits: corev1.ResourceList{"memory": resource.MustParse("1Gi")},
			}
		}),
		`spec.template.spec.containers[0].volumeMounts[0].name: Not found: "x"`: deploy(func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "x", MountPath: "/x"}}
		}),
		`Unsupported value: "Never": supported values: "Always"`: deploy(func(d *appsv1.Deployment) { d.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever }),
		"a lowercase RFC 1123 subdomain":                         deploy(func(d *appsv1.Deployment) { d.Name = "Bad_Name" }),
	} {
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	d := ok[*appsv1.Deployment](t)(c.AppsV1().Deployments("default").Create(t.Context(), deployment("web"), metav1.CreateOptions{}))
	d.Spec.Selector.MatchLabels = map[string]string{"app": "web", "x": "y"}
	d.Spec.Template.Labels = map[string]string{"app": "web", "x": "y"}
	if _, err := c.AppsV1().Deployments("default").Update(t.Context(), d, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "field is immutable") {
		t.Errorf("new selector: %v", err)
	}
	p := ok[*corev1.Pod](t)(c.CoreV1().Pods("default").Create(t.Context(), pod("p"), metav1.CreateOptions{}))
	p.Spec.Containers[0].Image = "web:2"
	p = ok[*corev1.Pod](t)(c.CoreV1().Pods("default").Update(t.Context(), p, metav1.UpdateOptions{}))
	p.Spec.Containers[0].Command = []string{"sh"}
	if _, err := c.CoreV1().Pods("default").Update(t.Context(), p, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "pod updates may not change fields other than") {
		t.Errorf("new command of a pod: %v", err)
	}
}

func TestStrictFieldValidationNamesTheField(t *testing.T) {
	c := started(t)
	post := func(validation string) (int, string) {
		code := 0
		body := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bad"},"dataa":{"a":"1"}}`
		r := c.CoreV1().RESTClient().Post().Namespace("default").Resource("configmaps").Param("fieldValidation", validation).
			Param("dryRun", "All").SetHeader("Content-Type", "application/json").Body([]byte(body)).Do(t.Context()).StatusCode(&code)
		raw, err := r.Raw()
		if err != nil {
			return code, err.Error() + string(raw)
		}
		return code, string(raw)
	}
	if code, msg := post("Strict"); code != http.StatusBadRequest || !strings.Contains(msg, `unknown field \"dataa\"`) {
		t.Errorf("strict: %d %s", code, msg)
	}
	if code, msg := post("Ignore"); code != http.StatusCreated {
		t.Errorf("ignore: %d %s", code, msg)
	}
}

func TestServicesGetAddressesOfTheirOwn(t *testing.T) {
	c := started(t).CoreV1().Services("default")
	seen := map[string]bool{}
	for _, name := range []string{"a", "b", "c"} {
		s := ok[*corev1.Service](t)(c.Create(t.Context(), &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}, metav1.CreateOptions{}))
		if seen[s.Spec.ClusterIP] || !strings.HasPrefix(s.Spec.ClusterIP, "10.96.") || s.Spec.Ports[0].TargetPort.IntVal != 80 {
			t.Errorf("%+v", s.Spec)
		}
		seen[s.Spec.ClusterIP] = true
	}
}
