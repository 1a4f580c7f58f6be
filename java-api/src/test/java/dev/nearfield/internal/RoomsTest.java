// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import com.tngtech.archunit.ArchConfiguration;
import com.tngtech.archunit.core.domain.Dependency;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaCodeUnit;
import com.tngtech.archunit.core.domain.JavaField;
import com.tngtech.archunit.core.domain.JavaMember;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.domain.JavaType;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import dev.nearfield.AcceleratedVectorIndex;
import java.net.URL;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Who may know whom: docs/architecture.md. */
class RoomsTest {
  private static final String API = "dev.nearfield";
  private static final String FFI = "dev.nearfield.ffi";
  private static final String INTERNAL = "dev.nearfield.internal.";

  /** A room depends only on rooms before it. */
  private static final List<String> ROOMS =
      List.of(
          "value", "engine", "plain", "natives", "load", "device", "turn", "table", "event", "move",
          "index");

  private static final JavaClasses CLASSES = classes();

  /** By their place, as tests have the same packages. */
  private static JavaClasses classes() {
    URL main = AcceleratedVectorIndex.class.getProtectionDomain().getCodeSource().getLocation();
    // The names of other types do; to look into each of them takes seconds.
    ArchConfiguration.get().setResolveMissingDependenciesFromClassPath(false);
    return new ClassFileImporter().importUrl(main);
  }

  @Test
  void everyInternalClassLivesInARoom() {
    Set<String> homeless = new TreeSet<>();
    Set<String> inhabited = new TreeSet<>();
    for (JavaClass type : CLASSES) {
      String room = room(type);
      if (room != null) {
        inhabited.add(room);
        if (!ROOMS.contains(room)) {
          homeless.add(type.getName());
        }
      }
    }
    assertEquals(Set.of(), homeless, "neither in a room nor API");
    assertEquals(new TreeSet<>(ROOMS), inhabited, "rooms with classes");
  }

  @Test
  void aRoomDependsOnlyOnThoseBeforeIt() {
    Set<String> wrong = new TreeSet<>();
    for (Dependency use : uses()) {
      String from = room(use.getOriginClass());
      String to = room(use.getTargetClass().getBaseComponentType());
      if (from != null && to != null && ROOMS.indexOf(to) > ROOMS.indexOf(from)) {
        wrong.add(use.getDescription());
      }
    }
    assertEquals(Set.of(), wrong);
  }

  @Test
  void onlyNativesUsesTheBindings() {
    Set<String> users = new TreeSet<>();
    Set<String> wrong = new TreeSet<>();
    for (Dependency use : uses()) {
      String from = use.getOriginClass().getPackageName();
      if (isFfi(use.getTargetClass().getBaseComponentType()) && !isFfi(use.getOriginClass())) {
        users.add(from);
        if (!from.equals(INTERNAL + "natives")) {
          wrong.add(use.getDescription());
        }
      }
    }
    assertEquals(Set.of(), wrong);
    assertFalse(users.isEmpty(), "the bindings are used by nobody");
  }

  /** Permits clauses are no supertypes, and may name the one implementation. */
  @Test
  void theApiShowsNoInternalType() {
    Set<String> wrong = new TreeSet<>();
    int looked = 0;
    for (JavaClass type : CLASSES) {
      if (type.getPackageName().equals(API) && isPublic(type)) {
        shown(type.getInterfaces().stream(), type.getName() + " implements", wrong);
        shown(type.getSuperclass().stream(), type.getName() + " extends", wrong);
        shown(type.getTypeParameters().stream(), type.getName() + " is generic by", wrong);
        for (JavaMember member : members(type)) {
          looked++;
          shown(types(member), member.getFullName(), wrong);
        }
      }
    }
    assertEquals(Set.of(), wrong);
    assertFalse(looked < 100, "only [" + looked + "] public members were found");
  }

  /** Public and protected ones: what a user can name or override. */
  private static List<JavaMember> members(JavaClass type) {
    List<JavaMember> seen = new ArrayList<>();
    for (JavaMember member : type.getMembers()) {
      Set<JavaModifier> modifiers = member.getModifiers();
      if (modifiers.contains(JavaModifier.PUBLIC) || modifiers.contains(JavaModifier.PROTECTED)) {
        seen.add(member);
      }
    }
    return seen;
  }

  private static Stream<? extends JavaType> types(JavaMember member) {
    if (member instanceof JavaCodeUnit code) {
      return Stream.of(
              Stream.of(code.getReturnType()),
              code.getParameterTypes().stream(),
              code.getTypeParameters().stream(),
              code.getThrowsClause().getTypes().stream())
          .flatMap(types -> types);
    }
    return Stream.of(((JavaField) member).getType());
  }

  private static void shown(Stream<? extends JavaType> types, String by, Set<String> wrong) {
    types
        .flatMap(type -> type.getAllInvolvedRawTypes().stream())
        .map(JavaClass::getBaseComponentType)
        .filter(type -> room(type) != null || isFfi(type))
        .forEach(type -> wrong.add(by + " " + type.getName()));
  }

  /** Also all around it: a member class of a hidden one is hidden. */
  private static boolean isPublic(JavaClass type) {
    return type.getModifiers().contains(JavaModifier.PUBLIC)
        && type.getEnclosingClass().map(RoomsTest::isPublic).orElse(true);
  }

  private static boolean isFfi(JavaClass type) {
    return type.getPackageName().equals(FFI);
  }

  /** Null outside the internals. */
  private static @Nullable String room(JavaClass type) {
    String within = type.getPackageName() + ".";
    return within.startsWith(INTERNAL)
        ? within.substring(INTERNAL.length()).replaceFirst("\\.$", "")
        : null;
  }

  private static List<Dependency> uses() {
    List<Dependency> uses = new ArrayList<>();
    CLASSES.forEach(type -> uses.addAll(type.getDirectDependenciesFromSelf()));
    return uses;
  }
}
