// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.natives;

import dev.nearfield.BackendStatus.Reason;
import dev.nearfield.ffi.nearfield_h;
import dev.nearfield.ffi.nf_add;
import dev.nearfield.ffi.nf_api;
import dev.nearfield.ffi.nf_capability;
import dev.nearfield.ffi.nf_compact;
import dev.nearfield.ffi.nf_context_create_fn;
import dev.nearfield.ffi.nf_context_desc;
import dev.nearfield.ffi.nf_context_destroy_fn;
import dev.nearfield.ffi.nf_device_count_fn;
import dev.nearfield.ffi.nf_device_info;
import dev.nearfield.ffi.nf_device_info_fn;
import dev.nearfield.ffi.nf_index_add_fn;
import dev.nearfield.ffi.nf_index_compact_fn;
import dev.nearfield.ffi.nf_index_create_fn;
import dev.nearfield.ffi.nf_index_desc;
import dev.nearfield.ffi.nf_index_destroy_fn;
import dev.nearfield.ffi.nf_index_estimate_fn;
import dev.nearfield.ffi.nf_index_info;
import dev.nearfield.ffi.nf_index_info_fn;
import dev.nearfield.ffi.nf_index_maintain_fn;
import dev.nearfield.ffi.nf_index_read_fn;
import dev.nearfield.ffi.nf_index_read_lists_fn;
import dev.nearfield.ffi.nf_index_replace_fn;
import dev.nearfield.ffi.nf_index_search_fn;
import dev.nearfield.ffi.nf_index_set_live_fn;
import dev.nearfield.ffi.nf_index_train_fn;
import dev.nearfield.ffi.nf_index_write_lists_fn;
import dev.nearfield.ffi.nf_kmeans;
import dev.nearfield.ffi.nf_kmeans_fn;
import dev.nearfield.ffi.nf_knn;
import dev.nearfield.ffi.nf_knn_fn;
import dev.nearfield.ffi.nf_lists;
import dev.nearfield.ffi.nf_live;
import dev.nearfield.ffi.nf_maintain;
import dev.nearfield.ffi.nf_matrix;
import dev.nearfield.ffi.nf_quantize;
import dev.nearfield.ffi.nf_quantize_fn;
import dev.nearfield.ffi.nf_search;
import dev.nearfield.ffi.nf_step;
import dev.nearfield.ffi.nf_supports_fn;
import dev.nearfield.ffi.nf_train;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Objects;

/**
 * Every downcall there is: the functions of one library's {@code nf_api} table. Each method checks
 * the size of each segment it passes on, because C cannot; {@link CallFrame} builds the structs and
 * checks what they point to. Methods answer the {@code nf_status} and never interpret it.
 *
 * <p>Any thread may call any method. Handles are zero-length segments; freeing them is the caller's
 * business.
 */
public final class NativeCalls {
  /**
   * Majors asked for by name when a library does not speak ours, to say which one it does speak.
   */
  private static final int LARGEST_MAJOR_TRIED = 64;

  private static final String MISMATCH_HINT =
      "Use the library and the jar of the same Nearfield version.";

  private final int abiMajor;
  private final int abiMinor;
  private final String backend;
  private final String build;

  private final MethodHandle deviceCount;
  private final MethodHandle deviceInfo;
  private final MethodHandle contextCreate;
  private final MethodHandle contextDestroy;
  private final MethodHandle supports;
  private final MethodHandle knn;
  private final MethodHandle kmeans;
  private final MethodHandle quantize;
  private final MethodHandle indexEstimate;
  private final MethodHandle indexCreate;
  private final MethodHandle indexDestroy;
  private final MethodHandle indexInfo;
  private final MethodHandle indexAdd;
  private final MethodHandle indexReplace;
  private final MethodHandle indexRead;
  private final MethodHandle indexSetLive;
  private final MethodHandle indexCompact;
  private final MethodHandle indexTrain;
  private final MethodHandle indexMaintain;
  private final MethodHandle indexSearch;
  private final MethodHandle indexReadLists;
  private final MethodHandle indexWriteLists;

  private NativeCalls(MemorySegment table) throws LoadException {
    abiMajor = nf_api.abi_major(table);
    abiMinor = nf_api.abi_minor(table);
    backend = CallFrame.textAt(nf_api.backend(table));
    build = CallFrame.textAt(nf_api.build(table));
    deviceCount = bind(table, "device_count", nf_device_count_fn.descriptor());
    deviceInfo = bind(table, "device_info", nf_device_info_fn.descriptor());
    contextCreate = bind(table, "context_create", nf_context_create_fn.descriptor());
    contextDestroy = bind(table, "context_destroy", nf_context_destroy_fn.descriptor());
    supports = bind(table, "supports", nf_supports_fn.descriptor());
    knn = bind(table, "knn", nf_knn_fn.descriptor());
    kmeans = bind(table, "kmeans", nf_kmeans_fn.descriptor());
    quantize = bind(table, "quantize", nf_quantize_fn.descriptor());
    indexEstimate = bind(table, "index_estimate", nf_index_estimate_fn.descriptor());
    indexCreate = bind(table, "index_create", nf_index_create_fn.descriptor());
    indexDestroy = bind(table, "index_destroy", nf_index_destroy_fn.descriptor());
    indexInfo = bind(table, "index_info", nf_index_info_fn.descriptor());
    indexAdd = bind(table, "index_add", nf_index_add_fn.descriptor());
    indexReplace = bind(table, "index_replace", nf_index_replace_fn.descriptor());
    indexRead = bind(table, "index_read", nf_index_read_fn.descriptor());
    indexSetLive = bind(table, "index_set_live", nf_index_set_live_fn.descriptor());
    indexCompact = bind(table, "index_compact", nf_index_compact_fn.descriptor());
    indexTrain = bind(table, "index_train", nf_index_train_fn.descriptor());
    indexMaintain = bind(table, "index_maintain", nf_index_maintain_fn.descriptor());
    indexSearch = bind(table, "index_search", nf_index_search_fn.descriptor());
    indexReadLists = bind(table, "index_read_lists", nf_index_read_lists_fn.descriptor());
    indexWriteLists = bind(table, "index_write_lists", nf_index_write_lists_fn.descriptor());
  }

  /** The ABI major of this jar. */
  public static int ownAbiMajor() {
    return nearfield_h.NF_ABI_MAJOR();
  }

  /** Checks the ABI version first, then resolves the functions. Touches no device. */
  @SuppressWarnings("restricted")
  public static NativeCalls bind(SymbolLookup library) throws LoadException {
    MemorySegment entry =
        library
            .find("nf_get_api")
            .orElseThrow(
                () ->
                    new LoadException(
                        Reason.LOAD_FAILED,
                        "it does not export nf_get_api, so it is no Nearfield library",
                        "Point to a libnearfield_<backend> library."));
    MethodHandle getApi =
        Linker.nativeLinker()
            .downcallHandle(entry, FunctionDescriptor.of(nearfield_h.C_POINTER, nearfield_h.C_INT));
    int major = ownAbiMajor();
    MemorySegment table = getApi(getApi, major);
    if (table.equals(MemorySegment.NULL)) {
      throw mismatch("this jar speaks ABI major %d, the library %s", major, spoken(getApi));
    }
    MemorySegment head = table.reinterpret(nf_api.backend$offset());
    int theirs = head.get(nf_api.abi_major$layout(), nf_api.abi_major$offset());
    if (theirs != major) {
      throw mismatch("this jar speaks ABI major %d, the library [%d]", major, theirs);
    }
    long size = Integer.toUnsignedLong(head.get(nf_api.struct_size$layout(), 0));
    // A longer table is a newer minor version and fine. A shorter one lacks functions.
    if (size < nf_api.sizeof()) {
      throw mismatch(
          "the library's function table has [%d] bytes, this jar needs %d (ABI %d.%d)",
          size, nf_api.sizeof(), major, nearfield_h.NF_ABI_MINOR());
    }
    return new NativeCalls(table.reinterpret(nf_api.sizeof()));
  }

  private static LoadException mismatch(String format, Object... arguments) {
    return new LoadException(Reason.ABI_MISMATCH, format.formatted(arguments), MISMATCH_HINT);
  }

  private static MemorySegment getApi(MethodHandle handle, int major) {
    try {
      return (MemorySegment) handle.invokeExact(major);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  private static String spoken(MethodHandle getApi) {
    for (int major = 0; major <= LARGEST_MAJOR_TRIED; major++) {
      if (!getApi(getApi, major).equals(MemorySegment.NULL)) {
        return "[" + major + "]";
      }
    }
    return "none up to [" + LARGEST_MAJOR_TRIED + "]";
  }

  @SuppressWarnings("restricted")
  private static MethodHandle bind(MemorySegment table, String name, FunctionDescriptor type)
      throws LoadException {
    long offset = nf_api.layout().byteOffset(MemoryLayout.PathElement.groupElement(name));
    MemorySegment function = table.get(nearfield_h.C_POINTER, offset);
    if (function.equals(MemorySegment.NULL)) {
      throw mismatch("the library's function table has no [%s]", name);
    }
    return Linker.nativeLinker().downcallHandle(function, type);
  }

  public int abiMajor() {
    return abiMajor;
  }

  public int abiMinor() {
    return abiMinor;
  }

  /** As the library names itself: {@code cpu}. */
  String backend() {
    return backend;
  }

  public String build() {
    return build;
  }

  int deviceCount(MemorySegment count, CallFrame frame) {
    room(count, ValueLayout.JAVA_INT);
    try {
      return (int) deviceCount.invokeExact(count, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  int deviceInfo(int device, MemorySegment info, CallFrame frame) {
    room(info, nf_device_info.layout());
    try {
      return (int) deviceInfo.invokeExact(device, info, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  int contextCreate(MemorySegment desc, MemorySegment out, CallFrame frame) {
    room(desc, nf_context_desc.layout());
    room(out, nearfield_h.C_POINTER);
    try {
      return (int) contextCreate.invokeExact(desc, out, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  void contextDestroy(MemorySegment context) {
    try {
      contextDestroy.invokeExact(context);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  boolean supports(MemorySegment context, MemorySegment capability) {
    room(capability, nf_capability.layout());
    try {
      return (int) supports.invokeExact(context, capability) != 0;
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  int knn(MemorySegment context, MemorySegment request, MemorySegment step, CallFrame frame) {
    room(request, nf_knn.layout());
    room(step, nf_step.layout());
    try {
      return (int) knn.invokeExact(context, request, step, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  int kmeans(MemorySegment context, MemorySegment request, MemorySegment step, CallFrame frame) {
    room(request, nf_kmeans.layout());
    room(step, nf_step.layout());
    try {
      return (int) kmeans.invokeExact(context, request, step, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  int quantize(MemorySegment context, MemorySegment request, CallFrame frame) {
    room(request, nf_quantize.layout());
    try {
      return (int) quantize.invokeExact(context, request, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  int indexEstimate(
      MemorySegment context,
      MemorySegment desc,
      MemorySegment peakBytes,
      MemorySegment bytes,
      CallFrame frame) {
    room(desc, nf_index_desc.layout());
    room(peakBytes, ValueLayout.JAVA_LONG);
    room(bytes, ValueLayout.JAVA_LONG);
    try {
      return (int) indexEstimate.invokeExact(context, desc, peakBytes, bytes, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  int indexCreate(MemorySegment context, MemorySegment desc, MemorySegment out, CallFrame frame) {
    room(desc, nf_index_desc.layout());
    room(out, nearfield_h.C_POINTER);
    try {
      return (int) indexCreate.invokeExact(context, desc, out, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  void indexDestroy(MemorySegment index) {
    try {
      indexDestroy.invokeExact(index);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  int indexInfo(MemorySegment index, MemorySegment info, CallFrame frame) {
    room(info, nf_index_info.layout());
    try {
      return (int) indexInfo.invokeExact(index, info, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  int indexAdd(
      MemorySegment index, MemorySegment request, MemorySegment firstRow, CallFrame frame) {
    room(request, nf_add.layout());
    room(firstRow, ValueLayout.JAVA_LONG);
    try {
      return (int) indexAdd.invokeExact(index, request, firstRow, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  /** {@code rows} and {@code matrix} must have been sized together by {@link CallFrame}. */
  int indexReplace(MemorySegment index, MemorySegment rows, MemorySegment matrix, CallFrame frame) {
    room(matrix, nf_matrix.layout());
    elements(rows, nf_matrix.rows(matrix));
    try {
      return (int) indexReplace.invokeExact(index, rows, matrix, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  int indexRead(MemorySegment index, MemorySegment rows, MemorySegment out, CallFrame frame) {
    room(out, nf_matrix.layout());
    elements(rows, nf_matrix.rows(out));
    try {
      return (int) indexRead.invokeExact(index, rows, out, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  int indexSetLive(MemorySegment index, MemorySegment request, CallFrame frame) {
    room(request, nf_live.layout());
    try {
      return (int) indexSetLive.invokeExact(index, request, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  int indexCompact(
      MemorySegment index, MemorySegment request, MemorySegment step, CallFrame frame) {
    room(request, nf_compact.layout());
    room(step, nf_step.layout());
    try {
      return (int) indexCompact.invokeExact(index, request, step, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  int indexTrain(MemorySegment index, MemorySegment request, MemorySegment step, CallFrame frame) {
    room(request, nf_train.layout());
    room(step, nf_step.layout());
    try {
      return (int) indexTrain.invokeExact(index, request, step, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  int indexMaintain(
      MemorySegment index, MemorySegment request, MemorySegment step, CallFrame frame) {
    room(request, nf_maintain.layout());
    room(step, nf_step.layout());
    try {
      return (int) indexMaintain.invokeExact(index, request, step, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  int indexSearch(MemorySegment index, MemorySegment request, CallFrame frame) {
    room(request, nf_search.layout());
    try {
      return (int) indexSearch.invokeExact(index, request, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  int indexReadLists(MemorySegment index, MemorySegment lists, CallFrame frame) {
    room(lists, nf_lists.layout());
    try {
      return (int) indexReadLists.invokeExact(index, lists, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  int indexWriteLists(MemorySegment index, MemorySegment lists, CallFrame frame) {
    room(lists, nf_lists.layout());
    try {
      return (int) indexWriteLists.invokeExact(index, lists, frame.call());
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  private static void room(MemorySegment segment, MemoryLayout layout) {
    Objects.checkFromIndexSize(0, layout.byteSize(), segment.byteSize());
  }

  private static void elements(MemorySegment longs, long count) {
    Objects.checkFromIndexSize(0, Math.multiplyExact(count, Long.BYTES), longs.byteSize());
  }

  /** What a method handle itself throws: a closed segment, a wrong thread, an error of the JVM. */
  private static RuntimeException rethrown(Throwable e) {
    if (e instanceof Error error) {
      throw error;
    }
    if (e instanceof RuntimeException exception) {
      return exception;
    }
    return new IllegalStateException(e); // a downcall handle declares no checked exception
  }
}
