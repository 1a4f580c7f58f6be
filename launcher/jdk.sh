# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Finds a JDK. The first place that has a suitable one wins; within a folder, the newest.

readonly jdk_oldest=22 # java.lang.foreign is final there

jdk_home=    # the answer
jdk_skipped= # what was found and why it does not do, one a line

# jdk_feature HOME: prints the feature version (25), or nothing when it cannot be told.
jdk_feature() {
  local line text=
  if [ -r "$1/release" ]; then # no JVM started: this runs at every start
    while IFS= read -r line; do
      case $line in JAVA_VERSION=*) text=${line#*=} ;; esac
    done <"$1/release"
  else
    text=$("$1/bin/javac" -version 2>&1) || text=
    text=${text##*javac }
  fi
  text=${text//\"/}
  text=${text%%[!0-9]*}
  printf '%s' "$text"
}

# jdk_suits HOME: leaves the feature version in jdk_found.
jdk_suits() {
  local line
  jdk_found=
  [ -x "$1/bin/java" ] || return 1
  if [ -x "$1/bin/javac" ]; then
    jdk_found=$(jdk_feature "$1")
    [ "${jdk_found:-0}" -lt "$jdk_oldest" ] || return 0
    line="  $1 (Java ${jdk_found:-of unknown version})"$'\n'
  else
    line="  $1 (a runtime without javac)"$'\n'
  fi
  case $jdk_skipped in *"$line"*) ;; *) jdk_skipped+=$line ;; esac
  return 1
}

# jdk_newest HOME...: takes the newest that suits.
jdk_newest() {
  local home newest=0
  for home in "$@"; do
    home=${home%/}
    if jdk_suits "$home" && [ "$jdk_found" -gt "$newest" ]; then
      newest=$jdk_found
      jdk_home=$home
    fi
  done
  [ "$newest" -gt 0 ]
}

# jdk_on_path TOOL: the home behind a tool on PATH.
jdk_on_path() {
  local tool link home
  tool=$(command -v "$1") || return 1
  # On macOS these are not tools but stand-ins that open a dialogue; java_home is asked below.
  if [ "$tool" = "/usr/bin/$1" ] && [ -x /usr/libexec/java_home ]; then return 1; fi
  while [ -L "$tool" ]; do
    link=$(readlink "$tool")
    case $link in
      /*) tool=$link ;;
      *) tool=$(dirname "$tool")/$link ;;
    esac
  done
  home=$(cd -P "$(dirname "$tool")/.." && pwd) || return 1
  if [ ! -r "$home/release" ]; then # a version manager's shim: only the JVM knows where it lives
    home=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java\.home = //p')
  fi
  [ -n "$home" ] && printf '%s' "$home"
}

# jdk_folders: the folders that hold JDKs, one a line.
jdk_folders() {
  if [ -n "${NEARFIELD_JVM_DIRS+set}" ]; then
    tr ':' '\n' <<<"$NEARFIELD_JVM_DIRS"
    return
  fi
  printf '%s\n' /usr/lib/jvm /usr/java /Library/Java/JavaVirtualMachines \
    "$HOME/Library/Java/JavaVirtualMachines" "${SDKMAN_DIR:-$HOME/.sdkman}/candidates/java" "$HOME/.jdks" \
    /opt/homebrew/opt /usr/local/opt /home/linuxbrew/.linuxbrew/opt
}

find_jdk() {
  local folder home
  if [ -n "${JAVA_HOME:-}" ] && jdk_newest "$JAVA_HOME"; then return 0; fi
  # `java` second: it names a runtime without javac in the message.
  if home=$(jdk_on_path javac || jdk_on_path java) && jdk_newest "$home"; then return 0; fi
  while IFS= read -r folder; do
    [ -d "$folder" ] || continue
    # Linux and SDKMAN; macOS bundles; Homebrew's formula.
    if jdk_newest "$folder"/*/ "$folder"/*/Contents/Home "$folder"/openjdk*/libexec/openjdk.jdk/Contents/Home; then
      return 0
    fi
  done < <(jdk_folders)
  if [ -z "${NEARFIELD_JVM_DIRS+set}" ] && [ -x /usr/libexec/java_home ]; then
    if home=$(/usr/libexec/java_home -v "$jdk_oldest+" 2>/dev/null) && jdk_newest "$home"; then return 0; fi
  fi
  return 1
}

# SDKMAN drops superseded patch releases, so the exact identifier is looked up.
sdkman_command() {
  cat <<'TEXT'
    curl -s https://get.sdkman.io | bash && . ~/.sdkman/bin/sdkman-init.sh
    sdk install java "$(sdk list java | grep -o '25[0-9.]*-tem' | head -n 1)"
TEXT
}

jdk_install_command() {
  local distribution
  distribution=$(sed -n 's/^ID=//p' /etc/os-release 2>/dev/null) || true
  case $(package_manager) in
    apt)
      if apt-cache show openjdk-25-jdk-headless >/dev/null 2>&1; then
        printf '  %sapt-get install openjdk-25-jdk-headless\n' "$(as_root)"
      else
        cat <<'TEXT'
  This release's own archive has no JDK that new. From Eclipse Adoptium's repository, as root:
    apt-get install -y wget gpg
    wget -qO - https://packages.adoptium.net/artifactory/api/gpg/key/public | gpg --dearmor -o /usr/share/keyrings/adoptium.gpg
    echo "deb [signed-by=/usr/share/keyrings/adoptium.gpg] https://packages.adoptium.net/artifactory/deb $(. /etc/os-release; echo $VERSION_CODENAME) main" > /etc/apt/sources.list.d/adoptium.list
    apt-get update && apt-get install -y temurin-25-jdk
  Or for this user alone:
TEXT
        sdkman_command
      fi
      ;;
    dnf)
      if [ "$distribution" = fedora ]; then
        printf '  %sdnf install java-latest-openjdk-devel\n' "$(as_root)"
      else
        printf '  %sdnf install java-25-openjdk-devel\n' "$(as_root)"
      fi
      ;;
    brew) printf '  brew install openjdk\n' ;;
    *) sdkman_command ;;
  esac
}

# require_jdk: exports JAVA_HOME, or changes nothing, says how to get a JDK and exits 3.
require_jdk() {
  if ! find_jdk; then
    {
      printf 'nearfield: no JDK of version %s or later with javac was found' "$jdk_oldest"
      if [ -n "$jdk_skipped" ]; then printf '; these do not do:\n%s' "$jdk_skipped"; else printf '.\n'; fi
      printf 'Install one and start again, or point JAVA_HOME at one:\n'
      jdk_install_command
    } >&2
    exit 3
  fi
  export JAVA_HOME=$jdk_home
}
