# SPDX-License-Identifier: MIT
"""The table of the command line: every verb and option, every bad input: command, exit code, what is printed, and whether
the state afterwards may differ from the state before.

Each row: (command, exit code, pattern for standard output, pattern for standard error, what may change). Patterns are
regular expressions that must match somewhere; "" means that nothing may be printed. "{d}" is the directory of test files,
"guest.cfg" in it describes the guest `web`. A change is "" (none), "guest" (domains and store) or "log" (the hypervisor's)."""



class Differs(str):
    """A pattern where a real control domain says something else than a host without Xen's drivers (check-cli)."""
    def __new__(cls, on_host, dom0):
        pattern = super().__new__(cls, on_host)
        pattern.dom0 = dom0
        return pattern


NO_DISK = r"^joist: disk: /x: cannot be opened for reading and writing: No such file or directory$"
NO_BRIDGE = r"^joist: network: command line.*: there is no bridge xenbr0; make it \(ip link add xenbr0 type bridge;"

VERBS = ["create", "list", "info", "console", "pause", "unpause", "shutdown", "reboot", "destroy", "dmesg", "domid",
         "domname", "rename", "vcpu-list", "uptime", "block-attach", "block-detach", "block-list", "block-resize",
         "network-attach", "network-detach", "network-list"]
VERBS += ["image", "run", "vncviewer", "screenshot", "channel-list", "vkb-list"]

HEAD = r"(?m)^Name +ID +Mem VCPUs\tState\tTime\(s\)$"
NOT_FOUND = r"^joist: domain: nosuch: there is no such domain; joist list shows the names and ids$"

HELP = [(f"joist {v} --help", 0, rf"^usage: joist {v} (.|\n)*-j, --json(.|\n)*-h, --help", "", "") for v in VERBS]
HELP += [(f"joist {v} -h", 0, rf"^usage: joist {v} ", "", "") for v in VERBS]
HELP += [(f"joist help {v}", 0, rf"^usage: joist {v} ", "", "") for v in VERBS]
HELP += [
    ("joist help", 0, r"usage: joist (.|\n)*create(.|\n)*uptime", "", ""),
    ("joist --help", 0, r"usage: joist ", "", ""),
    ("joist --version", 0, r"^joist \d+\.\d+\.\d+$", "", ""),
    ("joist", 2, "", r"usage: joist ", ""),
    ("joist nonsense", 2, "", r'^joist: there is no verb "nonsense"; joist help lists them$', ""),
    ("joist help nonsense", 2, "", r'^joist: there is no verb "nonsense"', ""),
    ("joist d", 2, "", r'^joist: "d" could be destroy or dmesg$', ""),
    ("joist --nonsense list", 2, "", r"^joist: option --nonsense is unknown; joist help lists the verbs$", ""),
    ("joist list --nonsense", 2, "", r"^joist: list: option --nonsense is unknown; joist help list lists", ""),
    ("joist list -x", 2, "", r"^joist: list: option -x is unknown", ""),
    ("joist list --long=yes", 2, "", r"^joist: list: option --long=yes takes no value", ""),
    ("joist console web -e", 2, "", r"^joist: console: option -e needs a value", ""),
    ("joist console -e ^^^ web", 2, "", r"^joist: console: the escape character is written \^X$", ""),
    ("joist console -n x web", 2, "", r"^joist: console: -n x: a number up to 255 is wanted$", ""),
    ("joist console -n 256 web", 2, "", r"^joist: console: -n 256: a number up to 255", ""),
    ("joist console -t serial web", 2, "", r"^joist: console: -t serial: the guests here have consoles of type pv$", ""),
    ("joist screenshot web", 2, "", r"^joist: screenshot: a word is missing; usage: joist screenshot ", ""),
    ("joist vncviewer", 2, "", r"^joist: vncviewer: a word is missing", ""),
    ("joist --socket {d}/none list", 3, "",
     r"^joist: daemon: .*/none: No such file or directory; see whether joistd runs, and whether you may use it$", ""),
]
HELP += [(f"joist {v}", 2, "", rf"^joist: {v}: a word is missing; usage: joist {v} ", "")
         for v in ("console", "pause", "unpause", "destroy", "domid", "domname", "block-attach", "block-detach", "block-list",
                   "block-resize", "network-attach", "network-detach", "network-list")]
HELP += [
    ("joist rename a", 2, "", r"^joist: rename: a word is missing", ""),
    ("joist rename a b c", 2, "", r"^joist: rename: too many words", ""),
    ("joist dmesg a", 2, "", r"^joist: dmesg: too many words", ""),
    ("joist pause a b", 2, "", r"^joist: pause: too many words", ""),
    ("joist shutdown", 2, "", r"^joist: shutdown: name a domain, or use -a$", ""),
    ("joist reboot -a web", 2, "", r"^joist: reboot: either a domain or -a, not both$", ""),
    ("joist create", 2, "", r"^joist: create: name a configuration file$", ""),
    ("joist domname web", 2, "", r'^joist: domname: "web" is no domain id$', ""),
]

# With no guest.
EMPTY = [
    ("joist list", 0, HEAD + r"\nDomain-0 +0 +\d+ +\d+     r-----  +\d+\.\d$", "", ""),
    ("joist li", 0, HEAD, "", ""),
    ("joist list --json", 0, r'^\{"ok":true,"result":\[\{"name":"Domain-0","domid":0,', "", ""),
    ("joist --json list", 0, r'^\{"ok":true,"result":\[\{"name":"Domain-0","domid":0,', "", ""),
    ("joist list -l", 0, r'^\[\n    \{\n        "name": "Domain-0",', "", ""),
    ("joist list -v", 0, r"UUID +Reason-Code(.|\n)*00000000-0000-0000-0000-000000000000 +- +-$", "", ""),
    ("joist list 0 Domain-0", 0, r"(?s)Domain-0.*Domain-0", "", ""),
    ("joist info", 0, r"(?m)^nr_cpus +: \d+\n(.|\n)*^free_memory +: \d+\n(.|\n)*^xen_version +: 4\.17\.", "", ""),
    ("joist info --json", 0, r'^\{"ok":true,"result":\{"host":', "", ""),
    ("joist info 0", 0, r"(?m)^name +: Domain-0\n(.|\n)*^managed +: no$", "", ""),
    ("joist info --json Domain-0", 0, r'"name":"Domain-0"', "", ""),
    ("joist dmesg", 0, r"\((JOIST|XEN)\) ", "", ""),
    ("joist dmesg --json", 0, r'^\{"ok":true,"result":\{"text":"', "", ""),
    ("joist info --counters", 0, r"(?m)^grant_maps +: \d+$", "", ""),
    ("joist info -c --json", 0, r'^\{"ok":true,"result":\{"tlb_flushes":\d+,', "", ""),
    ("joist info -c Domain-0", 1, "", r"^joist: info: Domain-0: counters are the machine's, not a domain's", ""),
    ("joist info -r", 2, "", r"^joist: info: -r goes with -c", ""),
    ("joist dmesg -c", 0, r"\((JOIST|XEN)\) ", "", "log"),
    ("joist dmesg --clear --json", 0, r'^\{"ok":true,"result":\{"text":"', "", "log"),
    ("joist domid Domain-0", 0, r"^0$", "", ""),
    ("joist domid --json Domain-0", 0, r'^\{"ok":true,"result":\{"name":"Domain-0","domid":0\}\}$', "", ""),
    ("joist domname 0", 0, r"^Domain-0$", "", ""),
    ("joist domname --json 0", 0, r'"name":"Domain-0"', "", ""),
    ("joist vcpu-list", 0, r"^Name +ID  VCPU   CPU State   Time\(s\) Affinity \(Hard / Soft\)\nDomain-0 +0 +0 +\d+   ", "", ""),
    ("joist vcpu-list --json", 0, r'"vcpus":\[\{"vcpu":0,"online":true', "", ""),
    ("joist uptime", 0, r"^Name +ID Uptime\nDomain-0 +0 .*\d+:\d\d:\d\d$", "", ""),
    ("joist uptime -s", 0, r"^ \d\d:\d\d:\d\d up .*\d:\d\d, Domain-0 \(0\)$", "", ""),
    ("joist uptime --json", 0, r'"uptime_s":\d+', "", ""),
    ("joist shutdown -a", 0, "", "", ""),
    ("joist shutdown -a -w", 0, "", "", ""),
    ("joist reboot --all --wait --json", 0, r'"ok":true', "", ""),
]
for verb in ("pause", "unpause", "destroy", "shutdown", "reboot", "console", "domid", "list", "vcpu-list", "uptime", "info"):
    EMPTY.append((f"joist {verb} nosuch", 1, "", NOT_FOUND, ""))
    EMPTY.append((f"joist {verb} --json nosuch", 1, r'^\{"ok":false,"error":\{"code":"ENOENT",', NOT_FOUND, ""))
EMPTY += [
    ("joist rename nosuch other", 1, "", NOT_FOUND, ""),
    ("joist network-attach nosuch mac=x", 1, "", NOT_FOUND, ""),
    ("joist block-attach nosuch /x,raw,xvda", 1, "", NOT_FOUND, ""),
    ("joist block-detach nosuch xvda", 1, "", NOT_FOUND, ""),
    ("joist block-resize nosuch xvda", 1, "", NOT_FOUND, ""),
    ("joist block-list nosuch", 1, "", NOT_FOUND, ""),
    ("joist block-attach 0 /x raw xvda", 1, "", r"not done to the control domain", ""),
    ("joist block-list 0", 0, r"^Vdev    BE  handle state evt-ch ring-ref BE-path$", "", ""),
    ("joist block-list -l 0", 0, r"^Name    Mode State      Sectors Device     Target$", "", ""),
    ("joist block-list --json 0", 0, r'"devices":\[\]', "", ""),
    ("joist block-attach 0", 2, "", r"^joist: block-attach: a word is missing; usage: joist block-attach ", ""),
    ("joist block-detach web", 2, "", r"^joist: block-detach: a word is missing; usage: joist block-detach ", ""),
    ("joist image snapshot", 2, "", r"^joist: image: usage: joist image snapshot IMAGE OVERLAY$", ""),
    ("joist image snapshot {d}/nosuch.img {d}/new.qcow2", 1, "", r"^joist: snapshot: .*/nosuch\.img: No such file or directory$", ""),
    ("joist image snapshot {d}/guest.cfg {d}/guest.cfg", 1, "", r"^joist: snapshot: .*/guest\.cfg: it exists; choose another", ""),
    ("joist network-detach nosuch 0", 1, "", NOT_FOUND, ""),
    ("joist channel-list nosuch", 1, "", NOT_FOUND, ""),
    ("joist vkb-list nosuch", 1, "", NOT_FOUND, ""),
    ("joist vncviewer nosuch", 1, "", NOT_FOUND, ""),
    ("joist screenshot nosuch {d}/x.png", 1, "", NOT_FOUND, ""),
    ("joist network-list nosuch", 1, "", NOT_FOUND, ""),
    ("joist network-attach 0 bridge=x", 1, "", r"not done to the control domain", ""),
    ("joist network-list 0", 0, r"^Idx BE Mac Addr\.", "", ""),
    ("joist network-list --json Domain-0", 0, r'"devices":\[\]', "", ""),
    ("joist network-detach web", 2, "", r"^joist: network-detach: a word is missing; usage: joist network-detach ", ""),
    ("joist domname 77", 1, "", r"^joist: domain: 77: there is no such domain", ""),
    ("joist domname --json 77", 1, r'"ok":false', r"^joist: domain: 77: there is no such domain", ""),
    ("joist list 40000", 1, "", r"^joist: domain: 40000: there is no such domain", ""),
]
for verb in ("pause", "unpause", "destroy", "shutdown", "reboot", "console"):
    EMPTY.append((f"joist {verb} 0", 1, "", rf"^joist: {'(poweroff|shutdown)' if verb == 'shutdown' else verb}: Domain-0: "
                  r"this is not done to the control domain$", ""))

# Configurations that are refused: nothing may be left of them.
C = "joist create {d}/guest.cfg"
BAD = [
    ("joist create {d}/nosuch.cfg", 1, "", r"^joist: config: .*/nosuch\.cfg: cannot be read: No such file or directory$", ""),
    ("joist create {d}/syntax.cfg", 1, "",
     r"^joist: config: .*/syntax\.cfg:2:10: syntax error: expected a value \(text in quotes, a number or a list\), found 'b'; ", ""),
    ("joist create {d}/unknown.cfg", 1, "", r'^joist: config: .*/unknown\.cfg:3:1: unknown key "memroy"; correct its spelling', ""),
    ("joist create {d}/binary.cfg", 1, "", r"^joist: config: .*/binary\.cfg: is no UTF-8 text$", ""),
    ("joist create {d}/huge.cfg", 1, "", r"^joist: config: .*/huge\.cfg: the file has 65537 bytes, at most 65536 are read$", ""),
    ("joist create name=x", 1, "", r'^joist: config: command line: the key "kernel" is missing; add a line kernel = \.\.\.$', ""),
    ("joist create kernel=/x", 1, "", r'^joist: config: command line: the key "name" is missing', ""),
    (f"{C} hap=1", 1, "", r'^joist: config: command line:1:1: hap = "1": is for HVM guests, and only PV guests exist', ""),
    (f"{C} type=hvm", 1, "", r'type = "hvm": only "pv" guests exist on this hypervisor$', ""),
    (f"{C} builder=hvm", 1, "", r'builder = "hvm": only "generic"', ""),
    (f"{C} \"pci=['0000:03:00.0']\"", 1, "", r"pci: not supported by this version; remove the key", ""),
    (f"{C} name=Domain-0", 1, "", r"^joist: create: Domain-0: a domain of that name exists; choose another name", ""),
    (f"{C} name=a/b", 1, "", r'name = "a/b": .*only letters, digits', ""),
    (f"{C} memory=0", 1, "", r'memory = "0": not a number from 1 to 16777216$', ""),
    (f"{C} memory=100000", 1, "", r"^joist: memory: web: not enough memory: needed 100\d\d\d MiB, free \d+ MiB; lower memory=", ""),
    (f"{C} memory=3", 1, "", r"^joist: memory: web: kernel and ramdisk need \d+ MiB to start, memory is 3 MiB; raise memory=$", ""),
    (f"{C} maxmem=1", 1, "", r'maxmem = "1": less than memory$', ""),
    (f"{C} vcpus=0", 1, "", r'vcpus = "0": not a number from 1 to 128$', ""),
    (f"{C} vcpus=4 maxvcpus=2", 1, "", r'maxvcpus = "2": less than vcpus$', ""),
    (f"{C} cpus=77", 1, "", r"^joist: cpus: web: the CPUs it may use cannot be set: .*; cpus= must name at least one CPU", ""),
    (f"{C} cpus=x", 1, "", r'cpus = "x": not a list of CPUs', ""),
    (f"{C} cpu_weight=0", 1, "", r'cpu_weight = "0": not a number from 1 to 65535$', ""),
    (f"{C} on_crash=explode", 1, "", r"not one of destroy, restart, rename-restart, preserve$", ""),
    (f"{C} uuid=1", 1, "", r'uuid = "1": not of the form', ""),
    (f"{C} nonsense", 1, "", r'^joist: config: command line: "nonsense" is no setting; write key=value$', ""),
    (f"{C} kernel={{d}}/none", 1, "", r"^joist: kernel: .*/none: cannot be opened: No such file or directory; name a file", ""),
    (f"{C} kernel={{d}}", 1, "", r"^joist: kernel: .*: is no regular file$", ""),
    (f"{C} kernel={{d}}/empty", 1, "", r"^joist: kernel: .*/empty: is empty$", ""),
    (f"{C} kernel={{d}}/text", 1, "", r"^joist: kernel: .*/text: neither a bzImage nor an ELF file; ", ""),
    (f"{C} kernel={{d}}/notes-missing", 1, "", r"^joist: kernel: .*/notes-missing: no PV kernel: has no Xen notes", ""),
    (f"{C} kernel={{d}}/pvh-only", 1, "", r"^joist: kernel: .*/pvh-only: no PV kernel: .*PV", ""),
    (f"{C} kernel={{d}}/xen-2", 1, "", r"^joist: kernel: .*/xen-2: no PV kernel: ", ""),
    (f"{C} kernel={{d}}/entry-outside", 1, "", r"^joist: kernel: .*/entry-outside: no PV kernel: .*entry", ""),
    (f"{C} kernel={{d}}/truncated", 1, "", r"^joist: kernel: .*/truncated: truncated", ""),
    (f"{C} kernel={{d}}/truncated.elf", 1, "", r"^joist: kernel: .*/truncated\.elf: ", ""),
    (f"{C} kernel={{d}}/flipped", 1, "", r"^joist: kernel: .*/flipped: .*(corrupt|damaged)", ""),
    (f"{C} kernel={{d}}/flipped.gz", 1, "", r"^joist: kernel: .*/flipped\.gz: .*(corrupt|damaged)", ""),
    (f"{C} ramdisk={{d}}/none", 1, "", r"^joist: ramdisk: .*/none: cannot be opened: No such file or directory", ""),
    (f"{C} ramdisk={{d}}/big-ramdisk memory=16", 1, "", r"^joist: memory: web: kernel and ramdisk need \d+ MiB to start", ""),
    (f"{C} \"disk=['/x,raw,xvda,rw,tragte=y']\"", 1, "",
     r'^joist: config: command line:1:23: unknown key "tragte" of a disk; keys of a disk: target, format', ""),
    (f"{C} \"disk=['/x,rwa,xvda']\"", 1, "", r'^joist: config: command line:1:11: unknown format "rwa": one of raw, qcow2', ""),
    (f"{C} \"disk=['/x,raw,xvd']\"", 1, "", r'1:15: "xvd" is no virtual device such as xvda', ""),
    (f"{C} \"disk=['/x,raw,xvda,rx']\"", 1, "", r'1:20: unknown access "rx": one of r, ro, w, rw, w!', ""),
    (f"{C} \"disk=['/x,raw,xvda','/y,raw,xvda']\"", 1, "", r"1:22: the guest already has a disk with this name or number", ""),
    (f"{C} \"disk=['/x,raw,xvda','/x,raw,xvdb']\"", 1, "", r"/x is the guest's xvda too; make both read-only", ""),
    (f"{C} \"disk=['cdrom,vdev=hdc']\"", 1, "", r"a disk needs a target: a file or a block device", ""),
    (f"{C} \"disk=['/x,raw,xvda']\"", 1, "",
     Differs(r"this kernel has no back end for a disk; load its module: modprobe xen-blkback", NO_DISK), ""),
    (f"{C} -n \"disk=['a.img,qcow2,xvda,r,backendtype=qdisk']\"", 0,
     r'(?m)^disk = \["format=qcow2,vdev=xvda,access=ro,target=/.*/a\.img"\]$', r"backendtype=qdisk is ignored", ""),
    (f"{C} -n \"disk=['phy:vg/a,xvda,w,backend=drv']\"", 0,
     r'(?m)^disk = \["format=raw,vdev=xvda,access=rw,backend=drv,target=/dev/vg/a"\]$', "", ""),
    (f"{C} \"disk=['a.img,raw,xvda,w,backend=drv']\"", 1, "", r"1:8: the target must begin with / where backend= names another domain", ""),
    (f"{C} \"disk=['/x,raw,xvda,backend=nosuch']\"", 1, "", r"backend=nosuch: there is no such domain; start the domain", ""),
    (f"{C} \"vif=['bridg=xenbr0']\"", 1, "", r'^joist: config: command line:1:7: unknown key "bridg"; the keys are mac, bridge', ""),
    (f"{C} \"vif=['mac=1']\"", 1, "", r'^joist: config: command line:1:11: mac="1" is not an address such as 00:16:3e:01:02:03', ""),
    (f"{C} \"vif=['mac=01:16:3e:00:00:01']\"", 1, "", r"is not an address of a single interface \(unicast\)", ""),
    (f"{C} \"vif=['mac=00:16:3e:00:00:01','mac=00:16:3e:00:00:01']\"", 1, "",
     r"^joist: network: command line:1:\d+: the MAC address 00:16:3e:00:00:01 is that of the guest's interface 0; choose another", ""),
    (f"{C} \"vif=['bridge=a/b']\"", 1, "", r'bridge="a/b" is not an interface.s name of letters, digits and \. _ -', ""),
    (f"{C} \"vif=['ip=10.0.0.256']\"", 1, "", r'ip="10\.0\.0\.256" is not a list of IPv4 or IPv6 addresses', ""),
    (f"{C} \"vif=['rate=fast']\"", 1, "", r'rate="fast" is not a rate such as 10Mb/s or 250KB/s@20ms', ""),
    (f"{C} \"vif=['mtu=9']\"", 1, "", r'mtu="9" is not a number from 68 to 65517', ""),
    (f"{C} \"vif=['type=ioemu']\"", 1, "", r'type="ioemu" is not for PV guests: use vif', ""),
    (f"{C} \"vif=['script=vif-nat']\"", 1, "", r"a routed interface needs the guest's address; add ip=ADDRESS", ""),
    (f"{C} \"vif=['backend=nosuch']\"", 1, "", r"backend=nosuch: there is no such domain; start the domain", ""),
    (f"{C} \"vif=['']\"", 1, "",
     Differs(r"this kernel has no back end for a network interface; load its module: modprobe xen-netback", NO_BRIDGE), ""),
    (f"{C} -n \"vif=['model=e1000,bridge=x']\"", 0, r'(?m)^vif = \["devid=0,model=e1000,bridge=x"\]$',
     r"^joist: warning: command line:1:7: model is ignored, it has no meaning for a PV guest", ""),
    (f"{C} \"vfb=['vnc=1,bogus=2']\"", 1, "",
     r'^joist: config: command line:1:13: unknown key "bogus" of a screen; keys of a screen: vnc, vnclisten', ""),
    (f"{C} \"vfb=['vncdisplay=60000']\"", 1, "", r"1:18: vncdisplay=60000: a number up to 59635 is wanted$", ""),
    (f"{C} \"vfb=['vnclisten=here']\"", 1, "", r"1:17: vnclisten=here: a numeric address, such as 127\.0\.0\.1 or :: is wanted", ""),
    (f"{C} \"vfb=['backend=net']\"", 1, "", r"backend=net: a screen is served by the control domain only; leave backend= out$", ""),
    (f"{C} \"vfb=['','']\"", 1, "", r"more than 1 devices of this kind \(screen\)", ""),
    (f"{C} \"vkb=['']\"", 1, "", r"a keyboard comes with the screen whose viewers type on it; remove vkb=", ""),
    (f"{C} \"vfb=['vnclisten=192.0.2.77']\"", 1, "", r"192\.0\.2\.77 port 5900: cannot listen there: Cannot assign requested address", ""),
    (f"{C} -n \"vfb=['vnc=1,sdl=1']\"", 0, r'(?m)^vfb = \["vnc=1,sdl=1"\]$', r"1:13: sdl= has no effect: the screen is served over VNC$", ""),
    (f"{C} \"channel=['connection=pty']\"", 1, "", r"1:11: a channel needs a name: name=org\.example\.thing$", ""),
    (f"{C} \"channel=['name=a,connection=tcp']\"", 1, "", r"1:29: connection=tcp: pty or socket is wanted$", ""),
    (f"{C} \"channel=['name=a,connection=socket,path={{d}}/nosuch/s']\"", 1, "", r"/nosuch/s: there is no directory /.*/nosuch$", ""),
    (f"{C} \"channel=['name=a,connection=socket,path={{d}}/guest.cfg']\"", 1, "", r"/guest\.cfg exists and is no socket$", ""),
    (f"{C} --json kernel={{d}}/text", 1, r'^\{"ok":false,"error":\{"code":"ENOEXEC","errno":8,"phase":"kernel",',
     r"^joist: kernel: ", ""),
    (f"{C} -e xx", 2, "", r"^joist: create: the escape character is written \^X$", ""),
    (f"{C} -n", 0, r'(?m)^name = "web"\n(.|\n)*^uuid = "[0-9a-f-]{36}"$', "", ""),
    (f"{C} --dry-run --json", 0, r'^\{"ok":true,"result":\{"name":"web",', "", ""),
    ("joist create -n -f {d}/guest.cfg memory=17", 0, r'(?m)^memory = "17"$', "", ""),
    (f"{C} -n nomigrate=1", 0, r'name = "web"', r"^joist: warning: command line:1:1: nomigrate: ignored", ""),
    (f"{C} -n extra=1", 0, r'name = "web"', r"^joist: warning: command line:1:1: extra: ignored, because cmdline", ""),
]

# Images and one-command guests: what is refused before anything is made.
I = "joist image build debian"
BAD += [
    ("joist image", 2, "", r"^joist: image: a word is missing", ""),
    ("joist image mend x", 2, "", r'^joist: image: there is no "image mend"; joist help image shows', ""),
    ("joist image build debian", 2, "", r"^joist: image: usage: joist image build debian ", ""),
    ("joist image --json build fedora x", 2, "", r'^joist: image: "fedora" cannot be built; debian can$', ""),
    (f"{I} --size 5 {{d}}/x", 2, "", r'^joist: size "5": write MiB or a number with M, G or T, from 700M on$', ""),
    (f"{I} --size 2X {{d}}/x", 2, "", r'^joist: size "2X": ', ""),
    (f"{I} --size 99999999T {{d}}/x", 2, "", r'^joist: size "99999999T": ', ""),
    (f"{I} --mirror mirror.example {{d}}/x", 1, "", r"^joist: image: mirror\.example: is no address of a mirror; write http://", ""),
    (f"{I} --label 'a b' {{d}}/x", 1, "", r"^joist: image: a b: a label has 1 to 16 letters", ""),
    (f"{I} --label seventeen-letters {{d}}/x", 1, "", r"a label has 1 to 16 letters", ""),
    (f"{I} --hostname a_b {{d}}/x", 1, "", r"^joist: image: a_b: a host name has 1 to 63 letters", ""),
    (f"{I} --suite -x {{d}}/x", 1, "", r"^joist: image: -x: is no name of a suite$", ""),
    (f"{I} --packages 'a b' {{d}}/x", 1, "", r"^joist: image: --packages: write names of packages, separated by commas$", ""),
    (f"{I} --overlay {{d}}/none {{d}}/x", 1, "", r"^joist: image: .*/none: cannot be read: No such file", ""),
    ("joist image ramdisk {d}/x", 2, "", r"^joist: image: usage: joist image ramdisk --kernel=", ""),
    ("joist image ramdisk --kernel {d}/none {d}/x", 1, "", r"^joist: kernel: .*/none: No such file or directory$", ""),
    ("joist image ramdisk --kernel {d}/text {d}/x", 1, "", r"^joist: kernel: .*/text: no bzImage that tells its version$", ""),
    ("joist run true", 2, "", r"^joist: run: give --rootfs a directory or a tar archive$", ""),
    ("joist run --rootfs {d}", 2, "", r"^joist: run: a word is missing; usage: joist run ", ""),
    ("joist run --json --rootfs {d}/none -- true", 125, "", r"^joist: run: .*/none: is no directory or archive: No such file", ""),
    ("joist run --rootfs {d} --size 1M -- true", 2, "", r'^joist: size "1M": .* from 16M on$', ""),
    ("joist run --rootfs {d}/log -- true", 125, "",
     Differs(r"^joist: run: .*/joist-run-init: cannot be read: No such file or directory; this inst",
             r"^joist: run: .*/log: is no directory or archive: No such file"), ""),
    ("joist --socket {d}/none run --rootfs {d} -- true", 3, "", r"^joist: daemon: .*/none: No such file or directory; ", ""),
    (f"{C} firmware=ovmf", 1, "", r'firmware = "ovmf": only "pvgrub64" exists on this hypervisor; write firmware', ""),
    (f"{C} firmware=pvgrub64", 1, "", r'firmware = "pvgrub64": a kernel is given too; remove one of them$', ""),
    ("joist create name=x bootloader=/usr/bin/lilo", 1, "", r'bootloader = "/usr/bin/lilo": only joist-extract ', ""),
    ("joist create name=x bootloader=pygrub", 1, "", r'bootloader = "pygrub": the guest has no disk to read a kernel from; ', ""),
    ("joist create name=x bootloader=pygrub 'bootloader_args=\"--list\"'", 1, "",
     r'bootloader_args = "--list": not --kernel=PATH, --ramdisk=PATH or --offset=BYTES$', ""),
    ("joist create name=x firmware=pvgrub64 'bootloader_args=\"--kernel=/x\"'", 1, "", r"there is no bootloader that it could be for$", ""),
    (f"{C} bootloader=joist-extract", 1, "", r'bootloader = "joist-extract": a kernel or ramdisk is given too; ', ""),
]

# One guest's life, in this order; {id} is its id.
LIFE = [
    (f"{C} -p", 0, r"^web: domain \d+, paused$", "", "guest"),
    ("joist list web", 0, HEAD + r"\nweb +\d+ +32 +\d+     --p---  +\d+\.\d$", "", ""),
    (f"{C}", 1, "", r"^joist: create: web: a domain of that name exists", ""),
    (f"{C} name=web2 uuid={{uuid}}", 1, "", r"uuid", ""),
    ("joist unpause web", 0, "", "", "guest"),
    ("joist list web", 0, r"web +\d+ +32 +\d+     [r-]-----", "", ""),
    ("joist pause --json web", 0, r'^\{"ok":true,"result":\{"name":"web","domid":\d+\}\}$', "", "guest"),
    ("joist pause web", 0, "", "", ""),
    ("joist unpause --json {id}", 0, r'"ok":true', "", "guest"),
    ("joist unpause web", 0, "", "", ""),
    ("joist domid web", 0, r"^{id}$", "", ""),
    ("joist domname {id}", 0, r"^web$", "", ""),
    ("joist vcpu-list web", 0, r"web +{id} +0 +\d+   ...", "", ""),
    ("joist uptime web", 0, r"web +{id}  0:00:\d\d$", "", ""),
    ("joist info web", 0, r"(?m)^managed +: yes\n(.|\n)*^config\.memory +: 32$", "", ""),
    ("joist console --json web", 0, r'"log":"[^"]*/console-web\.log"', "", ""),
    ("joist vncviewer --json web", 1, r'"code":"ENODEV"', r"^joist: screen: web: it has no screen; give it one: vfb=", ""),
    ("joist screenshot --json web {d}/x.png", 1, "", r"^joist: screen: web: it has no screen", ""),
    ("joist channel-list web", 0, r"^Idx BE  state evt-ch ring-ref  connection params$", "", ""),
    ("joist channel-list --json web", 0, r'"devices":\[\]', "", ""),
    ("joist vkb-list --json web", 0, r'"devices":\[\]', "", ""),
    ("joist console -n 3 -t pv --json web", 0, r'"log":', "", ""),
    ("joist network-list web", 0, r"^Idx BE Mac Addr\. +handle state evt-ch   tx-/rx-ring-ref BE-path$", "", ""),
    ("joist network-list --json web", 0, r'^\{"ok":true,"result":\[\{"name":"web","domid":{id},"devices":\[\]\}\]\}$', "", ""),
    ("joist block-attach web /x raw xvda what", 1, "", r'^joist: config: command line: "/x,raw,xvda,what", byte 13: unknown access "what"', ""),
    ("joist block-attach --json web /x raw xvda", 1,
     Differs(r'^\{"ok":false,"error":\{"code":"ENODEV",', r'^\{"ok":false,"error":\{"code":"ENOENT",'),
     Differs(r"this kernel has no back end for a disk", NO_DISK), ""),
    ("joist block-detach web xvda", 1, "", r'^joist: device: web: it has no disk "xvda"; it has none at all$', ""),
    ("joist block-resize web xvda", 1, "", r'^joist: device: web: it has no disk "xvda"; it has none at all$', ""),
    ("joist block-detach --json -f web xvda", 1, r'"code":"ENODEV"', r'it has no disk "xvda"', ""),
    ("joist block-resize --json web xvda", 1, r'"code":"ENODEV"', r'it has no disk "xvda"', ""),
    ("joist block-list web", 0, r"^Vdev    BE  handle state evt-ch ring-ref BE-path$", "", ""),
    ("joist network-attach web bridg=x", 1, "", r'^joist: config: command line: "bridg=x", byte 1: unknown key "bridg"', ""),
    ("joist network-attach web mac=00:16:3e:00:00:01 mtu=5", 1, "", r'byte 27: mtu="5" is not a number', ""),
    ("joist network-attach --json web", 1, r'^\{"ok":false,"error":\{"code":"ENODEV",',
     Differs(r"this kernel has no back end for a network", NO_BRIDGE), ""),
    ("joist network-detach web 0", 1, "", r'^joist: device: web: it has no network interface "0"; it has none at all', ""),
    ("joist network-detach --json -f web eth0", 1, r'"code":"ENODEV"', r'it has no network interface "eth0"', ""),
    ("joist rename web Domain-0", 1, "", r"^joist: rename: Domain-0: a domain of that name exists", ""),
    ("joist rename web ''", 1, "", r"a name has 1 to 63 bytes", ""),
    ("joist rename web 7", 1, "", r"could be taken for a domain id", ""),
    ("joist rename web other", 0, "", "", "guest"),
    ("joist list web", 1, "", r"^joist: domain: web: there is no such domain", ""),
    ("joist rename --json other web", 0, r'"name":"web"', "", "guest"),
    ("joist shutdown web", 0, "", "", "guest"),
    ("joist reboot --json web", 0, r'"domids":\[{id}\]', "", "guest"),
    ("joist destroy web", 0, "", "", "guest"),
    ("joist destroy web", 1, "", r"^joist: domain: web: there is no such domain", ""),
    (f"{C} --json", 0, r'^\{"ok":true,"result":\{"name":"web","domid":\d+,"uuid":"[0-9a-f-]{36}"\}\}$', "", "guest"),
    ("joist destroy --json web", 0, r'^\{"ok":true,', "", "guest"),
    (f"{C} -q", 0, "", "", "guest"),
    ("joist destroy web", 0, "", "", "guest"),
]


def write_configs(where, seen):
    """Writes the guest configurations of the table into a directory that the tools see under another name."""
    guest = f'name = "web"\nkernel = "{seen}/kernel.xz"\nramdisk = "{seen}/ramdisk"\nmemory = 32\nvcpus = 2\ncmdline = "a b"\n'
    texts = {"guest.cfg": guest, "syntax.cfg": 'name = "x"\nkernel = boot/k\n',
             "unknown.cfg": 'name = "x"\nkernel = "/k"\nmemroy = 5\n', "huge.cfg": "#" * 70000}
    for name, text in texts.items():
        with open(f"{where}/{name}", "w", encoding="utf-8") as f:
            f.write(text)
    with open(f"{where}/binary.cfg", "wb") as f:
        f.write(b"name = '\xff\xfe'\n")
