package config

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// isDocker reports whether the variables of Jigasi's container image are there.
func isDocker(env func(string) string) bool {
	for _, name := range []string{"JIGASI_SIP_URI", "JIGASI_XMPP_PASSWORD", "JIGASI_BREWERY_MUC"} {
		if env(name) != "" {
			return true
		}
	}
	return false
}

// A docker makes properties of the container's variables, the same ones that the
// image's templates write.
type docker struct {
	*legacy
	from string // the variable that the next properties come from
}

// readDocker reads the container's variables, and the file that users append.
func (l *loader) readDocker(home string) {
	l.file = "environment"
	d := docker{legacy: l.newLegacy()}
	d.meeting()
	d.call()
	d.sip()
	for _, v := range variables {
		if v.property != "" {
			d.from = v.name
			d.set(v.property, d.or(v.name, v.fallback))
		}
	}
	d.extra()
	d.silent()
	d.addPorts()
	for _, path := range []string{l.customFile(home), filepath.Join("/config", filepath.Base(l.customFile(home)))} {
		if data, err := readLimited(path); err == nil {
			l.cfg.Path = path
			d.addFile(path, data)
			break
		} else if !os.IsNotExist(err) {
			l.add(Warning, 0, "", "%s cannot be read: %v", path, err)
		}
	}
	d.apply()
	if l.env("JIGASI_XMPP_PASSWORD") == "" {
		l.file = "environment"
		l.add(Warning, 0, "JIGASI_XMPP_PASSWORD", "is not set: the brewery cannot be entered, and nobody can dial out")
	}
}

func (d *docker) or(name, fallback string) string {
	if v := strings.TrimSpace(d.env(name)); v != "" {
		return v
	}
	return fallback
}

func (d *docker) on(name string) bool {
	v, err := strconv.ParseBool(d.or(name, "false"))
	return err == nil && v
}

// set adds a property that comes from the current variable; an empty value is none.
func (d *docker) set(key, value string) {
	if value != "" {
		d.put(property{key, value, place{file: "environment", name: d.from}})
	}
}

// silent tells of variables that are set and have no effect.
func (d *docker) silent() {
	names := slices.Clone(sidecar)
	for _, v := range variables {
		names = append(names, v.name)
	}
	for _, name := range names {
		v, _ := findVariable(name)
		if d.env(name) == "" || !noticed(v) {
			continue
		}
		text := "has no effect: " + v.note
		if later, ok := strings.CutPrefix(v.note, "later: "); ok {
			text = "known, not used yet (" + later + ")"
		}
		d.loader.add(Info, 0, name, "%s", text)
	}
}

// meeting writes the control accounts: one for each server in XMPP_SERVER, a list
// of host, host:port or host:port:id.
func (d *docker) meeting() {
	room := d.or("JIGASI_BREWERY_MUC", "jigasibrewery") + "@" + d.or("XMPP_INTERNAL_MUC_DOMAIN", "internal-muc.meet.jitsi")
	user := d.or("JIGASI_XMPP_USER", "jigasi") + "@" + d.or("XMPP_AUTH_DOMAIN", "auth.meet.jitsi")
	d.from = "JIGASI_BREWERY_MUC"
	d.set(prefixJigasi+"ALLOWED_JID", room)
	d.from = "JIGASI_STATS_ID"
	d.set(prefixJigasi+"STATS_ID", d.or("JIGASI_STATS_ID", d.or("JIGASI_INSTANCE_ID", "")))
	for i, server := range commas(d.or("XMPP_SERVER", "xmpp.meet.jitsi")) {
		parts := strings.SplitN(server, ":", 3)
		id := "acc" + strconv.Itoa(i)
		if len(parts) == 3 && parts[2] != "" {
			id = "acc-" + parts[2]
		}
		port := d.or("XMPP_PORT", "5222")
		if len(parts) > 1 && parts[1] != "" {
			port = parts[1]
		}
		d.from = "XMPP_SERVER"
		d.set(prefixJabber+id, id)
		at := prefixJabber + id + "."
		d.set(at+"SERVER_ADDRESS", parts[0])
		d.set(at+"SERVER_PORT", port)
		d.set(at+"IS_SERVER_OVERRIDDEN", "true")
		if i == 0 {
			d.set(prefixCall+"SERVER_ADDRESS", parts[0])
			d.set(prefixCall+"SERVER_PORT", port)
			d.set(prefixCall+"IS_SERVER_OVERRIDDEN", "true")
		}
		d.set(at+"ALLOW_NON_SECURE", "true")
		d.set(at+"KEEP_ALIVE_METHOD", "XEP-0199")
		d.set(at+"KEEP_ALIVE_INTERVAL", "20")
		d.from = "JIGASI_XMPP_USER"
		d.set(at+"USER_ID", user)
		d.from = "JIGASI_XMPP_PASSWORD"
		d.set(at+"PASSWORD", base64.StdEncoding.EncodeToString([]byte(d.env("JIGASI_XMPP_PASSWORD"))))
		d.from = "JIGASI_BREWERY_MUC"
		d.set(at+"BREWERY", room)
		d.from = "XMPP_DOMAIN"
		d.set(at+"DOMAIN_BASE", d.or("XMPP_DOMAIN", "meet.jitsi"))
		d.from = "BOSH_URL_PATTERN"
		d.set(at+"BOSH_URL_PATTERN", d.or("BOSH_URL_PATTERN", ""))
	}
}

// call writes the login of calls.
func (d *docker) call() {
	d.from = "the container's templates"
	d.set("net.java.sip.communicator.service.gui.ALWAYS_TRUST_MODE_ENABLED", "true")
	user := d.or("JIGASI_XMPP_USER", "jigasi")
	if strings.EqualFold(d.or("JIGASI_MODE", "sip"), "transcriber") {
		d.from = "JIGASI_MODE"
		d.set(prefixJigasi+"ENABLE_SIP", "false")
		d.set(prefixJigasi+"ENABLE_TRANSCRIPTION", "true")
		d.set(prefixCall+"USER_ID", d.or("JIGASI_TRANSCRIBER_USER", "transcriber")+"@"+d.or("XMPP_HIDDEN_DOMAIN", d.or("XMPP_RECORDER_DOMAIN", "hidden.meet.jitsi")))
		d.set(prefixCall+"PASS", d.env("JIGASI_TRANSCRIBER_PASSWORD"))
		d.set(prefixCall+"ANONYMOUS_AUTH", "false")
		d.set(prefixCall+"ALLOW_NON_SECURE", "true")
		d.saving()
		return
	}
	if !d.on("ENABLE_AUTH") {
		return
	}
	d.from = "ENABLE_AUTH"
	d.set(prefixCall+"ALLOW_NON_SECURE", "true")
	if d.on("ENABLE_GUESTS") {
		d.from = "ENABLE_GUESTS"
		d.set(prefixCall+"USER_ID", user+"@"+d.or("XMPP_GUEST_DOMAIN", "guest.meet.jitsi"))
		d.set(prefixCall+"ANONYMOUS_AUTH", "true")
		return
	}
	d.set(prefixCall+"USER_ID", user+"@"+d.or("XMPP_AUTH_DOMAIN", "auth.meet.jitsi"))
	d.set(prefixCall+"ANONYMOUS_AUTH", "false")
	d.from = "JIGASI_XMPP_PASSWORD"
	d.set(prefixCall+"PASS", d.env("JIGASI_XMPP_PASSWORD"))
}

// saving writes where transcripts go: a volume that the web container serves.
func (d *docker) saving() {
	d.from = "JIGASI_TRANSCRIBER_ENABLE_SAVING"
	save, err := strconv.ParseBool(d.or(d.from, "1"))
	save = save && err == nil
	d.set(prefixWords+"SAVE_TXT", strconv.FormatBool(save))
	d.set(prefixWords+"SAVE_JSON", "false")
	if !save {
		return
	}
	d.set(prefixWords+"DIRECTORY", "/tmp/transcripts")
	d.cfg.Transcription.WebReadable = true
	d.from = "PUBLIC_URL"
	if u := d.or(d.from, ""); u != "" {
		if !strings.Contains(u, "://") {
			u = "https://" + u
		}
		d.set(prefixWords+"BASE_URL", strings.TrimSuffix(u, "/")+"/transcripts")
	}
}

// sip writes the SIP account.
func (d *docker) sip() {
	uri := d.or("JIGASI_SIP_URI", "")
	if uri == "" || strings.EqualFold(d.or("JIGASI_MODE", "sip"), "transcriber") {
		return
	}
	at := prefixSIP + "acc1."
	d.from = "JIGASI_SIP_URI"
	d.set(prefixSIP+"acc1", "acc1")
	d.set(at+"USER_ID", uri)
	d.set(at+"DOMAIN_BASE", d.or("XMPP_DOMAIN", "meet.jitsi"))
	d.set(at+"JITSI_MEET_ROOM_HEADER_NAME", "X-Room-Name")
	d.set(at+"JITSI_MEET_DOMAIN_BASE_HEADER_NAME", "X-Domain-Base")
	d.from = "JIGASI_SIP_PASSWORD"
	d.set(at+"PASSWORD", base64.StdEncoding.EncodeToString([]byte(d.env("JIGASI_SIP_PASSWORD"))))
	if server := d.or("JIGASI_SIP_SERVER", ""); server != "" {
		d.from = "JIGASI_SIP_SERVER"
		d.set(at+"SERVER_ADDRESS", server)
		d.set(at+"PROXY_ADDRESS", server)
		d.set(at+"PROXY_AUTO_CONFIG", "false")
		d.from = "JIGASI_SIP_PORT"
		d.set(at+"PROXY_PORT", d.or("JIGASI_SIP_PORT", "5060"))
		d.from = "JIGASI_SIP_TRANSPORT"
		d.set(at+"PREFERRED_TRANSPORT", d.or("JIGASI_SIP_TRANSPORT", "UDP"))
	}
	d.from = "JIGASI_SIP_KEEP_ALIVE_METHOD"
	d.set(at+"KEEP_ALIVE_METHOD", d.or("JIGASI_SIP_KEEP_ALIVE_METHOD", "OPTIONS"))
	d.set(at+"KEEP_ALIVE_INTERVAL", "25")
	d.from = "JIGASI_ENABLE_SDES_SRTP"
	d.set(at+"DEFAULT_ENCRYPTION", strconv.FormatBool(d.on(d.from)))
	if d.on(d.from) {
		d.set(at+"SAVP_OPTION", "1")
		d.set(at+"ENCRYPTION_PROTOCOL_STATUS.SDES", "true")
	}
	if d.from = "USE_TRANSLATOR_IN_CONFERENCE"; d.on(d.from) {
		d.set(at+d.from, "true")
	}
	d.from = "the container's templates"
	d.set(at+"OVERRIDE_ENCODINGS", "true")
	for name, priority := range map[string]string{"opus/48000": "1000", "PCMU/8000": "650", "PCMA/8000": "600"} {
		d.set(at+"Encodings."+name, priority)
	}
}

// extra writes switches, and the properties that users list.
func (d *docker) extra() {
	if d.from = "JIGASI_ENABLE_REST"; d.on(d.from) {
		d.set(prefixJigasi+"rest.jetty.host", "0.0.0.0")
	}
	if d.from = "SHUTDOWN_REST_ENABLED"; d.on(d.from) {
		d.set(prefixJigasi+"ENABLE_REST_SHUTDOWN", "true")
	}
	if d.from = "JIGASI_TRANSCRIBER_ENABLE_TRANSLATION"; d.on(d.from) {
		d.set(prefixWords+"ENABLE_TRANSLATION", "true")
	}
	if d.from = "JIGASI_TRANSCRIBER_OCI_REGION"; d.or(d.from, "") != "" {
		d.set(prefixWords+"oci.websocketUrl", "wss://realtime.aiservice."+d.or(d.from, "")+".oci.oraclecloud.com")
	}
	d.googleAccount()
	if d.from = "JIGASI_TRANSCRIBER_FILTER_SILENCE"; d.on(d.from) {
		d.set(prefixWords+"FILTER_SILENCE", "true")
	}
	if d.from = "ENABLE_VISITORS"; d.on(d.from) {
		d.set(prefixJigasi+"ENABLE_SIP_VISITORS", "true")
	}
	d.from = "JIGASI_CONFIGURATION"
	for _, pair := range commas(d.env(d.from)) {
		key, value, _ := strings.Cut(pair, "=")
		d.set(strings.TrimSpace(key), value)
	}
}
