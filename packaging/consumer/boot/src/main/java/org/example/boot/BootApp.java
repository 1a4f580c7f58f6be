// SPDX-License-Identifier: Apache-2.0
package org.example.boot;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.VectorHandle;
import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;

/** Prints whether the nearest vector was found, and the backend that found it. */
@SpringBootApplication
public class BootApp {
  public static void main(String[] arguments) {
    SpringApplication.run(BootApp.class, arguments);
  }

  @Bean(destroyMethod = "close")
  AcceleratedVectorIndex index() {
    return AcceleratedVectorIndex.builder(3, Metric.COSINE).build();
  }

  @Bean
  CommandLineRunner search(AcceleratedVectorIndex index) {
    return arguments -> {
      index.add(new float[] {0, 1, 0});
      VectorHandle near = index.add(new float[] {1, 0.1f, 0});
      SearchRequest request = SearchRequest.builder().query(new float[] {1, 0, 0}).topK(2).build();
      SearchResult result = index.search(request);
      boolean found = result.hits(0).getFirst().handle().equals(near);
      System.out.println("found=" + found + " backend=" + result.execution().backend());
    };
  }
}
