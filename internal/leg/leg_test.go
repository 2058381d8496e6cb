package leg

import "testing"

func TestPhasesHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for p := Trying; p < phases; p++ {
		name := p.String()
		if name == "" || name == "?" || seen[name] {
			t.Errorf("phase %d is called %q", p, name)
		}
		seen[name] = true
	}
	if phases.String() != "?" || Phase(200).String() != "?" {
		t.Error("what is no phase has a name")
	}
}
