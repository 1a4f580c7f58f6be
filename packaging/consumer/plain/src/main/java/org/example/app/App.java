// SPDX-License-Identifier: Apache-2.0
package org.example.app;

import dev.nearfield.Accelerators;
import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.VectorHandle;

/** Prints whether the nearest vector was found, and the backend that found it; with an argument, on the device of that name. */
public final class App {
  private App() {}

  public static void main(String[] arguments) {
    System.out.println(search(arguments));
  }

  static String search(String... device) {
    AcceleratedVectorIndex.Builder builder = AcceleratedVectorIndex.builder(3, Metric.COSINE);
    if (device.length > 0) {
      builder.device(Accelerators.device(device[0]));
    }
    try (AcceleratedVectorIndex index = builder.build()) {
      index.add(new float[] {0, 1, 0});
      VectorHandle near = index.add(new float[] {1, 0.1f, 0});
      SearchRequest request = SearchRequest.builder().query(new float[] {1, 0, 0}).topK(2).build();
      SearchResult result = index.search(request);
      boolean found = result.hits(0).getFirst().handle().equals(near);
      return "found=" + found + " backend=" + result.execution().backend();
    }
  }
}
