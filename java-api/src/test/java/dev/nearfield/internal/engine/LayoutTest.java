// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.nearfield.ffi.nearfield_h;
import dev.nearfield.internal.load.NativeBuild;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.PaddingLayout;
import java.lang.foreign.StructLayout;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/**
 * The generated bindings against what the C compiler makes of nearfield.h (bindings/test/layout.c).
 */
class LayoutTest {
  private static final Path GENERATED = Path.of("../bindings/src/main/java/dev/nearfield/ffi");

  @Test
  void sizesOffsetsAndConstantsAreThoseOfTheCompiler() throws Exception {
    Process process =
        new ProcessBuilder(NativeBuild.program("nearfield_layout").toString()).start();
    List<String> lines = process.inputReader().lines().sorted().toList();
    assertEquals(0, process.waitFor());
    assertEquals(String.join("\n", bindings()), String.join("\n", lines));
  }

  /**
   * The same lines from the bindings; all structs, fields and constants there are, not only those C
   * prints.
   */
  private static TreeSet<String> bindings() throws Exception {
    TreeSet<String> lines = new TreeSet<>();
    for (Method method : nearfield_h.class.getDeclaredMethods()) {
      if (method.getName().startsWith("NF_") && Modifier.isPublic(method.getModifiers())) {
        lines.add("constant %s %d".formatted(method.getName(), (int) method.invoke(null)));
      }
    }
    assertFalse(lines.isEmpty(), "no constants in the bindings");
    List<Path> files;
    try (var list = Files.list(GENERATED)) {
      files = list.toList();
    }
    for (Path file : files) {
      String name = file.getFileName().toString().replace(".java", "");
      if (name.startsWith("nf_") && !name.endsWith("_fn")) {
        Class<?> type = Class.forName("dev.nearfield.ffi." + name);
        add(name, (StructLayout) type.getMethod("layout").invoke(null), lines);
      }
    }
    return lines;
  }

  private static void add(String name, StructLayout layout, TreeSet<String> lines) {
    lines.add("struct %s %d".formatted(name, layout.byteSize()));
    for (MemoryLayout member : layout.memberLayouts()) {
      assertFalse(member instanceof PaddingLayout, name + " has hidden padding");
      String field = member.name().orElseThrow();
      lines.add(
          "field %s %s %d %d"
              .formatted(
                  name,
                  field,
                  layout.byteOffset(PathElement.groupElement(field)),
                  member.byteSize()));
    }
  }
}
